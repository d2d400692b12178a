"""Runs inside the sandbox: makes one fresh job sandbox after the other. A script, never imported.

    python3 -I -B launcher.py CONTROL PLAN [CGROUP...] - [CGROUP...]

Needs Python 3.9. All numbers are descriptors: a socket, a memory file, and open ``cgroup.procs``. The launcher joins
all of these groups; those after the dash are where it stays, outside of its jobs' limits.

Three kinds of processes, each with less than the one before it:

=========  ==============================================================================================
launcher   The warm interpreter, child of bubblewrap. Holds CAP_SYS_ADMIN and CAP_SETPCAP *in the sandbox's
           user namespace only*, no secret, and never runs code of a job.
init       Its clone in new namespaces, process 1 of the job's. Trusted: mounts the private file systems,
           installs the system call filter, gives up all capabilities; then starts programs, reaps, reads results
           back. Not dumpable, so the job, which has the same user, can neither trace it nor look into its ``/proc``.
job        What was asked for: no capability, no descriptor but 0 to 2, no way to gain either.
=========  ==============================================================================================

States of the launcher, with the messages on the control socket (one datagram each) that move it::

    idle --"build" + cgroup.procs--> cloned --init has ended--> reaped --"gone STATUS"--> idle
      +--end of file--> exit               (while init lives, it alone reads the socket)

States of init::

    joining, mounting, filtering --"ready" + its pidfd--> waiting
    waiting --"step" + body, stdin, stdout, stderr--> running --"done HOW N CPU_US RSS_KB"--> waiting, or exit if last
    waiting --"keep" + body, pipe--> reading --"kept" | "unkept WHY"--> waiting, or exit if last
    anything that goes wrong on our side --"failed WHY"--> exit

Invariants:

- Init has joined the job's cgroups before it says ``ready``: nothing of a job was ever outside them.
- Between ``done`` and the next message no process of the job exists; init killed and reaped all of them.
- When init ends, however it ends, the kernel kills every process in its pid namespace and waits for
  them before the launcher can reap it. So ``gone`` means: nothing is left.
- What comes from the worker is trusted (:mod:`marshal`); what goes to the worker is plain text, and
  the worker believes none of its lengths.

What jobs of one launcher share, besides read-only files: the layout of the address space and the hash
seed of the warm interpreter (both are as old as the launcher, which is replaced after some hundred jobs),
and a network namespace in which not even loopback is up, where they live one after the other, never two
at a time. (A new one for each job would cost a third more; one with loopback would hand on ports in use.)
"""

# ruff: noqa: BLE001, PTH103, PTH120, PTH123, PTH208, S302, SLF001
# A job must not end our code by an exception of whatever kind, `pathlib` would have to be loaded for it, what is
# unmarshalled comes from the worker, and the interpreter's way out is found in private functions.

from __future__ import annotations

# `signal` and `socket` would load `enum` and more, and every page of it is copied for each job.
import _signal as signal  # type: ignore[import-not-found]
import _socket as socket
import array
import builtins
import ctypes
import errno
import fcntl
import gc
import marshal
import os
import resource
import stat
import struct
import sys

TYPE_CHECKING = False  # `typing` is a megabyte of objects that every job would get a copy of
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any, NoReturn, TypeAlias

    Plan: TypeAlias = dict[str, Any]
    Body: TypeAlias = dict[str, Any]

libc = ctypes.CDLL(None, use_errno=True)
SYS_CLONE = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
SYS_CLOSE_RANGE = 436
SIGCHLD = 17
CLONE_NEWCGROUP = 0x02000000
PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS = 4, 22, 24, 28, 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, SECCOMP_MODE_FILTER = 47, 4, 2
SECUREBITS = 0xEF  # all of them, each with its lock: user 0 means nothing, no set is kept or raised (capabilities(7))
LAST_CAPABILITY = 63
SYS_ADMIN, SETPCAP = 21, 8
CAPABILITY_HEADER = struct.pack("=Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
KEPT_CAPABILITIES = struct.pack("=6I", *[1 << SYS_ADMIN | 1 << SETPCAP] * 2, 0, 0, 0, 0)
NO_CAPABILITIES = bytes(24)
SIOCSIFFLAGS, SIOCSIFADDR = 0x8914, 0x8916
OPEN_UNTRUSTED = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
DATAGRAM_BYTES = 4096
STREAMS = (
    ("stdin", "r", "surrogateescape", -1),
    ("stdout", "w", "surrogateescape", -1),
    ("stderr", "w", "backslashreplace", 1),
)
KEPT_HEADER = struct.Struct("=IIQ")
KEPT_DEPTH = 32
DESCRIPTORS = 8
REHEARSALS = 20  # CPython 3.11 specializes code at its eighth run


class Failure(Exception):
    """Something on our side; the text goes to the worker."""


def check(result: int, what: str) -> int:
    """Raise if a C call failed."""
    if result < 0:
        number = ctypes.get_errno()
        raise Failure(f"{what}: {os.strerror(number)}")
    return result


def receive(control: socket.socket) -> tuple[bytes | None, list[int]]:
    """One message and its descriptors; ``None`` at the end of the conversation."""
    data, ancillary, _flags, _peer = control.recvmsg(DATAGRAM_BYTES, socket.CMSG_SPACE(4 * DESCRIPTORS), 0x40000000)
    descriptors = array.array("i")
    for _level, _kind, payload in ancillary:
        descriptors.frombytes(payload)
    return (data or None), list(descriptors)


def close_all(descriptors: list[int]) -> None:
    """Close them."""
    for descriptor in descriptors:
        os.close(descriptor)


def read_all(descriptor: int) -> bytes:
    """The content of a memory file, from its start."""
    size = os.fstat(descriptor).st_size
    data = os.pread(descriptor, size, 0)
    os.close(descriptor)
    return data


# ---------------------------------------------------------------- launcher


def launch(control: socket.socket, plan: Plan) -> None:
    """Serve until the worker hangs up."""
    while True:
        message, descriptors = receive(control)
        if message is None:
            return
        if message != b"build":  # a step for an init that had just died
            close_all(descriptors)
            continue
        # A raw clone, because fork knows no namespaces and unshare would change this process too. The C library
        # does not notice; it matters only to init, which is single-threaded and forks the job the ordinary way.
        pid = check(libc.syscall(SYS_CLONE, plan["clone"] | SIGCHLD, None, None, None, None), "clone")
        if pid == 0:
            ctypes.pythonapi.PyOS_AfterFork_Child()  # new seeds for `random`, among others
            status = 1
            try:
                init(control, plan, descriptors)
                status = 0
            except Failure as failure:
                control.send(f"failed {failure}"[:DATAGRAM_BYTES].encode())
            except BaseException as error:  # the worker has to know, whatever it was
                control.send(f"failed {error!r}"[:DATAGRAM_BYTES].encode())
            finally:
                os._exit(status)
        close_all(descriptors)
        _, status = os.waitpid(pid, 0)
        control.send(b"gone %d" % status)


# ---------------------------------------------------------------- init


def init(control: socket.socket, plan: Plan, cgroups: list[int]) -> None:
    """Process 1 of a job."""
    join(cgroups)
    for kind, target, flags, options in plan["mounts"]:
        check(libc.mount(kind, target, kind, flags, options), f"mount {target.decode()}")
    check(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, plan["program"], 0, 0), "seccomp")
    check(libc.capset(CAPABILITY_HEADER, NO_CAPABILITIES), "capset")
    os.chdir("/job")
    own = os.pidfd_open(os.getpid())
    control.sendmsg([b"ready"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [own]))])
    os.close(own)
    last = False
    while not last:
        message, descriptors = receive(control)
        if message is None:
            return
        body = marshal.loads(read_all(descriptors[0]))
        last = body["last"]
        if message == b"step":
            control.send(step(body, descriptors[1:]))
        elif message == b"keep":
            control.send(keep(body, descriptors[1]))
        else:
            raise Failure(f"unknown message {message!r}")


def join(cgroups: list[int]) -> None:
    """Put this process into control groups."""
    for descriptor in cgroups:
        os.write(descriptor, b"0")
    close_all(cgroups)


def step(body: Body, streams: list[int]) -> bytes:
    """Place files, run a program, and leave no process of it."""
    for path, data, mode in body["files"]:
        place(path, data, mode)
    broken, breaks = os.pipe()  # closed by a successful setup, so that a failed one can never pass for the job's exit
    main = os.fork()
    if main == 0:
        try:
            become_job(body, streams)
        except BaseException as error:
            os.write(breaks, f"{error!r}"[: DATAGRAM_BYTES // 2].encode())
            os._exit(1)
        if body["warm"]:
            run_python(body["argv"], body["env"])
        else:
            execute(body["argv"], body["env"])
    close_all([*streams, breaks])
    why = os.read(broken, DATAGRAM_BYTES)
    os.close(broken)
    while True:  # orphans of the job are ours to reap
        pid, status = os.waitpid(-1, 0)
        if pid == main:
            break
    try:
        os.kill(-1, signal.SIGKILL)  # everything in the namespace but ourselves; nothing can fork past it
        while True:
            os.waitpid(-1, 0)
    except (ProcessLookupError, ChildProcessError):
        pass
    if why:
        raise Failure(why.decode(errors="replace"))
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    how = b"signal %d" % os.WTERMSIG(status) if os.WIFSIGNALED(status) else b"exit %d" % os.WEXITSTATUS(status)
    return b"done %s %d %d" % (how, (usage.ru_utime + usage.ru_stime) * 1e6, usage.ru_maxrss)


def place(path: str, data: bytes, mode: int) -> None:
    """Write one file below the work directory, in which nothing has run yet."""
    directory = os.path.dirname(path)
    if directory:
        os.makedirs(directory, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def keep(body: Body, pipe: int) -> bytes:
    """Send files that the job made. For each: header (length of the path, mode, size), path, content."""
    bounds = {"bytes": body["bytes"], "files": body["files"]}
    work = os.open("/job", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path in body["paths"]:
            keep_entry(work, path.split("/"), path, pipe, bounds, 0)
    except Failure as failure:
        return f"unkept {failure}".encode()
    except BrokenPipeError:
        return b"unkept the worker stopped reading"
    finally:
        os.close(work)
        os.close(pipe)
    return b"kept"


def keep_entry(parent: int, names: list[str], path: str, pipe: int, bounds: dict[str, int], depth: int) -> None:
    """Send a regular file, or a directory with everything in it. Whatever else a program put there is passed over.

    No link is followed, not even in the middle of a path: init may see what the job may not.
    """
    if depth > KEPT_DEPTH:
        raise Failure(f"directories are more than {KEPT_DEPTH} deep")
    try:
        descriptor = os.open(names[0], OPEN_UNTRUSTED, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.EACCES, errno.ENOTDIR):
            return
        raise Failure(f"{path!r}: {error.strerror}") from None
    try:
        about = os.fstat(descriptor)
        if names[1:]:
            if stat.S_ISDIR(about.st_mode):
                keep_entry(descriptor, names[1:], path, pipe, bounds, depth + 1)
        elif stat.S_ISDIR(about.st_mode):
            for entry in sorted(os.listdir(descriptor)):
                keep_entry(descriptor, [entry], f"{path}/{entry}", pipe, bounds, depth + 1)
        elif stat.S_ISREG(about.st_mode):
            keep_file(descriptor, about, path, pipe, bounds)
    finally:
        os.close(descriptor)


def keep_file(descriptor: int, about: os.stat_result, path: str, pipe: int, bounds: dict[str, int]) -> None:
    """Send one file."""
    bounds["bytes"] -= about.st_size
    bounds["files"] -= 1
    for what, left in bounds.items():
        if left < 0:
            raise Failure(f"more {what} than may be kept")
    name = os.fsencode(path)
    os.write(pipe, KEPT_HEADER.pack(len(name), about.st_mode & 0o777, about.st_size) + name)
    offset = 0
    while offset < about.st_size:
        sent = os.sendfile(pipe, descriptor, offset, about.st_size - offset)
        if not sent:
            raise Failure(f"{path!r} became shorter")
        offset += sent


# ---------------------------------------------------------------- job


def become_job(body: Body, streams: list[int]) -> None:
    """Give up what init still has: the session, the descriptors. `breaks` goes with them, as the sign of success."""
    os.setsid()
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    limit(body["rlimits"])
    if body["warm"]:
        check(libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), "dumpable")  # as execve does; else its /proc/self is root's
    check(libc.syscall(SYS_CLOSE_RANGE, 3, 0xFFFFFFFF, 0), "close_range")


def limit(rlimits: list[tuple[int, int, int]]) -> None:
    """Set resource limits: kind, soft, hard. Where the machine allows less, that stands."""
    for kind, *wanted in rlimits:
        ceiling = resource.getrlimit(kind)[1]
        soft, hard = (bound if ceiling == resource.RLIM_INFINITY else min(bound, ceiling) for bound in wanted)
        resource.setrlimit(kind, (soft, hard))


def execute(argv: list[str], env: dict[str, str]) -> NoReturn:
    """Replace this process; like a shell, 127 or 126 and a line on standard error when that cannot be."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores these two
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execve(argv[0], argv, env)  # noqa: S606 - no shell is meant
    except (OSError, ValueError) as error:
        os.write(2, b"%s: %s\n" % (os.fsencode(argv[0]), str(getattr(error, "strerror", error)).encode()))
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def run_python(argv: list[str], env: dict[str, str]) -> NoReturn:
    """Run a script in this interpreter as ``python3 script`` would, and end as it would."""
    try:
        main = enter(argv, env)
    except ValueError as error:  # a null byte in the environment, where execve has the same objection
        os.write(2, f"{error}\n".encode())
        os._exit(126)
    os._exit(finish(perform(argv[0], main), main))


def enter(argv: list[str], env: dict[str, str]) -> ModuleType:
    """Make the interpreter look as if it had just been started."""
    for name in [name for name in os.environ if name not in env]:
        del os.environ[name]
    for name, value in env.items():
        if os.environ.get(name) != value:  # most are there already, and each write costs
            os.environ[name] = value
    main = type(sys)("__main__")
    main.__dict__.update(__file__=argv[0], __builtins__=builtins, __annotations__={})
    sys.modules["__main__"] = main
    sys.argv = argv
    sys.orig_argv = ["python3", *argv]
    sys.path[0] = os.path.dirname(argv[0])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return main


def open_streams(descriptors: Sequence[int]) -> None:
    """Put fresh standard streams in place, as an interpreter makes them in the locale ``C.UTF-8``."""
    for number, (name, mode, errors, buffering) in enumerate(STREAMS):
        stream = open(descriptors[number], mode, buffering, "utf-8", errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def perform(path: str, main: ModuleType) -> int:
    """Run the script; the exit status."""
    try:
        with open(path, "rb") as file:
            source = file.read()
        exec(compile(source, path, "exec", dont_inherit=True), main.__dict__)  # noqa: S102 - what we are here for
    except SystemExit as leaving:
        return exit_status(leaving.code)
    except BaseException as error:
        return report(error)
    return 0


def exit_status(code: object) -> int:
    """What ``sys.exit(code)`` ends a process with."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1


def report(error: BaseException) -> int:
    """Print an exception that nobody caught, without our own frames."""
    trace = error.__traceback__.tb_next if error.__traceback__ else None
    try:
        sys.excepthook(type(error), error.with_traceback(trace), trace)
    except SystemExit as leaving:
        return exit_status(leaving.code)
    except BaseException:
        sys.__excepthook__(*sys.exc_info())
    if isinstance(error, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGINT)
    return 1


def finish(status: int, main: ModuleType) -> int:
    """What an interpreter does on its way out, as far as a program can tell.

    Threads are waited for, exit handlers run, and the globals go, so that open files are flushed. The
    rest of finalization frees memory, which the end of the process does a hundred times faster.
    """
    try:
        threading = sys.modules.get("threading")
        if threading is not None:
            threading._shutdown()
        import atexit

        atexit._run_exitfuncs()
        main.__dict__.clear()
        gc.collect()
    except BaseException:
        sys.__excepthook__(*sys.exc_info())
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            status = status or 120  # as CPython does
    return status


def settle(words: list[str]) -> None:
    """Make a cgroup namespace whose root is where the jobs will be: their ``/proc/self/cgroup`` says ``/``."""
    dash = words.index("-")
    join([int(word) for word in words[:dash]])
    check(libc.unshare(CLONE_NEWCGROUP), "unshare cgroup namespace")
    join([int(word) for word in words[dash + 1 :]])


def switch_off_loopback() -> None:
    """Take its address, or connecting would wait forever, and switch it off."""
    any_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    fcntl.ioctl(any_socket.fileno(), SIOCSIFADDR, struct.pack("16sH22x", b"lo", socket.AF_INET))  # 0.0.0.0
    fcntl.ioctl(any_socket.fileno(), SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", 0))
    any_socket.close()


REHEARSAL = b"""
import sys
def fibonacci(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a
class Point:
    def __init__(self, x): self.x = x
    def __repr__(self): return f"Point({self.x!r:>5})"
data = {str(n): [fibonacci(n), n / 3, "x" * n] for n in range(20)}
print(sorted(data.items(), key=lambda item: item[1][0]), Point(3), sum(map(len, data)), flush=True)
print(*(line.strip().split(",") for line in sys.stdin), file=sys.stderr)
raise ValueError("rehearsed")
"""


def rehearse() -> None:
    """Do what jobs do, some times over, in order not to do it for the first time in each of them.

    The interpreter finds codecs, fills caches and specializes bytecode when things are done the first times. In a
    forked process each such write costs the copy of a page: without a rehearsal a job takes three times as long.
    """
    script, nothing = os.memfd_create("rehearsal"), os.open("/dev/null", os.O_RDWR)
    os.write(script, REHEARSAL)
    before, environment = sys.modules["__main__"], dict(os.environ)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for turn in range(REHEARSALS):
        open_streams([nothing] * 3)
        main = enter([f"/proc/self/fd/{script}", "argument"], {**environment, "TURN": str(turn)})
        finish(perform(sys.argv[0], main), main)
        theirs.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [script]))])
        close_all(receive(ours)[1])
    enter(["launcher"], environment)
    sys.modules["__main__"] = before
    ours.close()
    theirs.close()
    os.close(script)
    os.close(nothing)


def prepare_streams() -> None:
    """Make the streams of all jobs now: they are unused, and a job puts its pipes under their numbers.

    They have to be pipes from the start, as a stream remembers whether it can be rewound. Standard error is one.
    """
    given, out = os.pipe()
    os.dup2(given, 0)
    os.dup2(out, 1)
    close_all([given, out])
    open_streams(range(3))


def main() -> None:
    """Give up what neither this process nor init needs, then serve."""
    control = socket.socket(fileno=int(sys.argv[1]))
    plan = marshal.loads(read_all(int(sys.argv[2])))
    settle(sys.argv[3:])
    program = ctypes.create_string_buffer(plan["filter"], len(plan["filter"]))
    plan["program"] = struct.pack("HxxxxxxP", len(plan["filter"]) // 8, ctypes.addressof(program))
    sys.path.insert(0, "/job")
    limit(plan["rlimits"])
    with open("/proc/self/oom_score_adj", "w") as file:  # short of memory, the machine ends jobs, not the worker
        file.write("1000")
    switch_off_loopback()
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    check(libc.prctl(PR_SET_SECUREBITS, SECUREBITS, 0, 0, 0), "securebits")
    check(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "ambient set")
    for capability in range(LAST_CAPABILITY + 1):
        if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 and ctypes.get_errno() != errno.EINVAL:
            check(-1, "bounding set")
    check(libc.capset(CAPABILITY_HEADER, KEPT_CAPABILITIES), "capset")
    rehearse()
    # The kernel keeps from a process 1 every signal of its namespace that it has no handler for. Init has none.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    check(libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "dumpable")
    prepare_streams()
    gc.collect()
    gc.freeze()  # a collection in a job would touch, and so copy, every object that we share with it
    launch(control, plan)


if __name__ == "__main__":
    main()
