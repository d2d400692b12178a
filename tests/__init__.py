"""The tests. Names are sentences; `conftest.py` says what every test gets and must leave behind."""
