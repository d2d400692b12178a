"""The same four programs in every language: hello, one that does not compile, one that fails, one that reads."""

# ruff: noqa: E501 - a program of one line shows better what it does than one that is broken up

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """Sources. ``echo`` prints its input line and its first argument; ``fails`` ends with an error of its own."""

    hello: str
    echo: str
    fails: str
    broken: str | None = None
    """Only for languages that are compiled."""


PROGRAMS = {
    "bash": Programs(hello="echo hello", echo='read line; echo "$line $1"', fails="exit 3"),
    "c": Programs(
        hello='#include <stdio.h>\nint main(void) { puts("hello"); }',
        echo='#include <stdio.h>\nint main(int c, char **v) { char b[9]; fgets(b, 9, stdin); b[4] = 0; printf("%s %s\\n", b, v[1]); }',
        fails="int main(void) { return 3; }",
        broken="int main(void) { return nothing; }",
    ),
    "cpp": Programs(
        hello='#include <iostream>\nint main() { std::cout << "hello\\n"; }',
        echo="#include <iostream>\n#include <string>\nint main(int c, char **v) { std::string s; std::cin >> s; std::cout << s << ' ' << v[1] << '\\n'; }",
        fails="#include <stdexcept>\nint main() { return 3; }",
        broken="int main() { auto x = ; }",
    ),
    "csharp": Programs(
        hello='class P { static void Main() { System.Console.WriteLine("hello"); } }',
        echo='class P { static void Main(string[] a) { System.Console.WriteLine(System.Console.ReadLine() + " " + a[0]); } }',
        fails="class P { static int Main() { return 3; } }",
        broken="class P { static void Main() { int x = nothing; } }",
    ),
    "go": Programs(
        hello='package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("hello") }\n',
        echo='package main\n\nimport (\n"bufio"\n"fmt"\n"os"\n)\n\nfunc main() { s := bufio.NewScanner(os.Stdin); s.Scan(); fmt.Println(s.Text(), os.Args[1]) }\n',
        fails='package main\n\nimport "os"\n\nfunc main() { os.Exit(3) }\n',
        broken='package main\n\nimport "os"\n\nfunc main() {}\n',
    ),
    "java": Programs(
        hello='class Hello { public static void main(String[] a) { System.out.println("hello"); } }',
        echo="import java.util.Scanner;\npublic class Echo { public static void main(String[] a) { System.out.println(new Scanner(System.in).nextLine() + ' ' + a[0]); } }",
        fails="class Fails { public static void main(String[] a) { System.exit(3); } }",
        broken="class Broken { int x = nothing; }",
    ),
    "javascript": Programs(
        hello='console.log("hello")',
        echo='console.log(require("fs").readFileSync(0, "utf8").trim(), process.argv[2])',
        fails="process.exit(3)",
    ),
    "perl": Programs(
        hello='print "hello\\n";', echo='my $l = <STDIN>; chomp $l; print "$l $ARGV[0]\\n";', fails="exit 3;"
    ),
    "python": Programs(
        hello="print('hello')", echo="import sys\nprint(input(), sys.argv[1])", fails="import sys\nsys.exit(3)"
    ),
    "ruby": Programs(hello="puts 'hello'", echo='puts "#{STDIN.gets.chomp} #{ARGV[0]}"', fails="exit 3"),
    "rust": Programs(
        hello='fn main() { println!("hello"); }',
        echo='fn main() { let mut s = String::new(); std::io::stdin().read_line(&mut s).unwrap(); println!("{} {}", s.trim(), std::env::args().nth(1).unwrap()); }',
        fails="fn main() { std::process::exit(3); }",
        broken="fn main() { nothing }",
    ),
    "typescript": Programs(
        hello='const word: string = "hello"; console.log(word);',
        echo='import { readFileSync } from "fs";\nconsole.log(readFileSync(0, "utf8").trim(), process.argv[2]);',
        fails="process.exit(3);",
        broken="const word: string = 3; console.log(word);",
    ),
}
