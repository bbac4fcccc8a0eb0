"""Programs that want to reach something outside. Each prints BREACH if, and only if, it did."""

# ruff: noqa: E501  (programs in strings; they are not to be broken where a formatter would)
from __future__ import annotations

from nlrl.sandbox.attacks.attack import Attack, Kind, attacks

_HEAD = r'''
import contextlib, ctypes, errno, os, signal, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
VICTIM, CANARY, PORT, ABSTRACT, UNIX, HOME, SOURCE = $victim, $canary, $port, $abstract, $unix, $home, $source
@contextlib.contextmanager
def refused(*kinds):
    """What is tried in here must fail."""
    try: yield
    except (kinds or (OSError,)): return
    print('BREACH', flush=True)
def syscall(number, *args):
    if libc.syscall(number, *args) >= 0: print('BREACH', number, flush=True)
'''

_TEXT = r"""
# === TCP to the host
with refused(): socket.create_connection(('127.0.0.1', PORT), timeout=1).send(b'BREACH')
# === TCP to the world
with refused(): socket.create_connection(('1.1.1.1', 53), timeout=1)
# === TCP over IPv6
with refused(): socket.create_connection(('::1', PORT), timeout=1)
# === UDP to the host
with refused(): socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'BREACH', ('127.0.0.1', PORT))
# === listening
with refused(): socket.socket().bind(('127.0.0.1', 0))
# === an abstract Unix socket of the host
with refused():
    s = socket.socket(socket.AF_UNIX); s.connect('\0' + ABSTRACT); s.send(b'BREACH')
# === a Unix socket file of the host
with refused():
    s = socket.socket(socket.AF_UNIX); s.connect(UNIX); s.send(b'BREACH')
# === datagrams through a socket pair to a named address
for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
    for address in ('\0' + ABSTRACT, UNIX, '\0' + ABSTRACT + '-datagram', UNIX + '-datagram'):
        with refused(): socket.socketpair(socket.AF_UNIX, kind)[0].sendto(b'BREACH', address)
# === netlink, packet, raw, vsock and crypto sockets
for family, kind in ((16, 3), (17, 3), (2, 3), (40, 1), (38, 5), (1, 1), (15, 3)):
    with refused(): socket.socket(family, kind)
# === name resolution
with refused(): print('BREACH', socket.getaddrinfo('example.org', 80))
# === /etc/passwd and its kin
for path in ('/etc/passwd', '/etc/shadow', '/etc/hostname', '/etc/resolv.conf', '/var/log/dpkg.log', '/boot', '/sys/kernel', '/run', '/mnt'):
    with refused(): os.listdir(path) if os.path.isdir(path) else open(path).read()
    with refused(): os.listdir(path)
# === a file of the host, readable by all
with refused(): print('BREACH', open(CANARY).read())
# === a file of the host, through every kind of name
for path in (CANARY, '//' + CANARY, '/tmp/../..' + CANARY, '/proc/self/root' + CANARY, '/proc/1/root' + CANARY, '/dev/../' + CANARY):
    with refused(): print('BREACH', open(path).read())
# === a symbolic link to a file of the host
with refused():
    os.symlink(CANARY, 'link'); print('BREACH', open('link').read())
# === a hard link to a file of the host
with refused(): os.link(CANARY, 'link')
# === writing to a file of the host
with refused(): open(CANARY, 'a').write('BREACH')
with refused(): open(CANARY, 'r+').truncate()
with refused(): os.truncate(CANARY, 0)
with refused(): os.open(CANARY, os.O_RDONLY | os.O_TRUNC)
# === renaming, removing and making files of the host
for act in (os.remove, os.rmdir, lambda p: os.rename(p, p + 'x'), lambda p: os.mkdir(p + 'd'), lambda p: os.mkfifo(p + 'f'), lambda p: open(p + 'n', 'w')):
    with refused(): act(CANARY)
# === mode, owner, times and attributes of a file of the host
for act in (lambda p: os.chmod(p, 0o777), lambda p: os.chown(p, os.getuid(), -1), lambda p: os.utime(p), lambda p: os.setxattr(p, 'user.x', b'1')):
    with refused(): act(CANARY)
# === mode and times of the standard library
import json
for act in (lambda p: os.chmod(p, 0o777), lambda p: os.utime(p), lambda p: open(p, 'a'), lambda p: os.open(p, os.O_RDONLY | os.O_TRUNC)):
    with refused(): act(json.__file__)
# === keys and settings in the home directory
for name in ('.ssh', '.ssh/id_rsa', '.aws/credentials', '.bash_history', '.gitconfig', '.cache', '.netrc'):
    path = os.path.join(HOME, name)
    with refused(): print('BREACH', os.listdir(path))
    with refused(): print('BREACH', open(path).read())
# === the package's own source
with refused(): print('BREACH', open(SOURCE).read())
with refused(ImportError): import nlrl.core; print('BREACH')
with refused(ImportError): import msgspec; print('BREACH')
# === environment variables
if any('SECRET' in k + v for k, v in os.environ.items()) or set(os.environ) - {'HOME', 'TMPDIR', 'LANG', 'OPENBLAS_NUM_THREADS'}: print('BREACH', os.environ)
environ = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, 'environ')
i = 0
while environ[i]:
    if b'SECRET' in environ[i]: print('BREACH')
    i += 1
# === /proc of itself and of others
for pid in ('self', '1', str(VICTIM), str(os.getppid())):
    for name in ('mem', 'environ', 'cmdline', 'maps', 'fd', 'root', 'cwd', 'status', 'task'):
        path = f'/proc/{pid}/{name}'
        with refused(): print('BREACH', open(path, 'rb').read(1) if name != 'fd' else os.listdir(path))
# === inherited descriptors
import stat
for fd in range(3, 1024):
    with refused(): os.fstat(fd)
# === the streams it was given, used backwards
for fd, act in ((0, lambda: os.write(0, b'x')), (0, lambda: os.ftruncate(0, 0)), (1, lambda: os.read(1, 1)), (2, lambda: os.read(2, 1))):
    with refused(): act()
# === devices
for name in ('mem', 'kmem', 'sda', 'vda', 'tty', 'ptmx', 'kvm', 'fuse', 'loop0', 'kmsg', 'net/tun', 'console', 'userfaultfd'):
    with refused(): os.open('/dev/' + name, os.O_RDWR)
for kind in (0o020666, 0o060666):
    with refused(): os.mknod('node', kind, os.makedev(1, 1))
# === namespaces and mounts
for flags in (0x10000000, 0x20000, 0x20000000, 0x40000000, 0x08000000, 0x04000000, 0x02000000, 0x80):
    syscall($SYS_unshare, flags)
syscall($SYS_mount, b'tmpfs', b'/tmp', b'tmpfs', 0, 0); syscall($SYS_umount2, b'/tmp', 2); syscall($SYS_pivot_root, b'/tmp', b'/tmp')
syscall($SYS_chroot, b'/tmp'); syscall($SYS_setns, 0, 0)
# === a process in namespaces of its own
for flags in (0x10000000, 0x10020000, 0x50000000): syscall($SYS_clone, flags | 17, 0, 0, 0, 0)
syscall(435, (ctypes.c_uint64 * 11)(0x10000000, 0, 0, 0, 17), 88)
# === kernel interfaces with a history of bugs
for number in ($SYS_keyctl, $SYS_add_key, $SYS_request_key, $SYS_bpf, $SYS_userfaultfd, $SYS_perf_event_open, 425, 426, 427, $SYS_kexec_load,
               $SYS_init_module, $SYS_finit_module, $SYS_personality, $SYS_memfd_create, 447, $SYS_name_to_handle_at, $SYS_open_by_handle_at,
               $SYS_inotify_init1, $SYS_fanotify_init, $SYS_quotactl, $SYS_reboot, $SYS_swapon, $SYS_acct, $SYS_syslog, $SYS_vhangup, 428, 429,
               430, 432, 437, 440, 441 + 1, 443, 448, $SYS_mq_open, $SYS_shmget, $SYS_semget, $SYS_msgget, $SYS_io_setup, $SYS_splice):
    for args in ((0, 0, 0, 0, 0), (1, 0x1000, 0x4000, 0, 0)): syscall(number, *args)
# === system calls of another architecture
import mmap, struct
if os.uname().machine == 'x86_64':
    code = mmap.mmap(-1, 4096, prot=7)
    code.write(b'\xb8\x14\0\0\0\xcd\x80\xc3')  # mov eax, 20 (getpid of i386); int 0x80; ret
    run = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    if run() == os.getpid(): print('BREACH', flush=True)
# === system calls of the x32 kind
if os.uname().machine == 'x86_64':
    for number in (39, 41, 56, 59, 272): syscall(0x40000000 | number, 0, 0, 0, 0, 0)
# === becoming root
for act in (lambda: os.setuid(0), lambda: os.setresuid(0, 0, 0), lambda: os.setgid(0), lambda: os.setgroups([0])):
    with refused(): act()
if os.geteuid() == 0 and os.getuid() != 0: print('BREACH')
# === capabilities
syscall($SYS_capset, struct.pack('Ii', 0x20080522, 0), struct.pack('6I', *[0xffffffff] * 6)) if (struct := __import__('struct')) else None
data = ctypes.create_string_buffer(24)
libc.capget(struct.pack('Ii', 0x20080522, 0), data)
if any(data.raw[:8]): print('BREACH', data.raw)
# === undoing what was locked
for option, value in ((1, 0), (4, 1), (8, 1), (22, 0), (24, 0), (28, 0), (35, 0), (38, 0), (47, 2), (53, 0), (59, 0)):
    if libc.prctl(option, value, 0, 0, 0) == 0: print('BREACH prctl', option)
# === higher limits
import resource
for which in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC):
    soft, hard = resource.getrlimit(which)
    with refused(OSError, ValueError): resource.setrlimit(which, (hard + 1, hard + 1))
    with refused(OSError, ValueError): resource.setrlimit(which, (-1, -1))
# === signals to a process of the host
for sig in (0, signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP):
    with refused(): os.kill(VICTIM, sig)
    with refused(): os.killpg(VICTIM, sig)
    with refused(): signal.pidfd_send_signal(os.pidfd_open(VICTIM), sig)
syscall($SYS_tgkill, VICTIM, VICTIM, 9); syscall($SYS_tkill, VICTIM, 9); syscall($SYS_rt_sigqueueinfo, VICTIM, 9, ctypes.create_string_buffer(128))
# === signals to its own group and to everyone
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for pid in (0, -1, -os.getpgid(0) or -1, os.getppid() or -1):
    with contextlib.suppress(OSError): os.kill(pid, signal.SIGTERM)
# === signals through asynchronous input
import fcntl
a, b = socket.socketpair()
for command in (8, 10, 15): 
    with refused(): fcntl.fcntl(a, command, VICTIM if command == 8 else 9)
with refused(): fcntl.ioctl(a, 0x8901, __import__('struct').pack('i', VICTIM))
# === the priority, limits and processors of a process of the host
with refused(): os.setpriority(os.PRIO_PROCESS, VICTIM, 19)
with refused(): os.sched_setaffinity(VICTIM, {0})
import resource
with refused(): resource.prlimit(VICTIM, resource.RLIMIT_NOFILE, (0, 0))
# === tracing a process of the host
syscall($SYS_ptrace, 16, VICTIM, 0, 0); syscall($SYS_ptrace, 0x4206, VICTIM, 0, 0); syscall($SYS_process_vm_readv, VICTIM, 0, 0, 0, 0, 0); syscall(438, 0, 0, 0)
# === keystrokes for the terminal
import fcntl
for fd in (0, 1, 2):
    with refused(): fcntl.ioctl(fd, 0x5412, b'x')
# === a shell, and programs of the machine
import subprocess
for command in (['/bin/sh', '-c', 'echo BREACH'], ['/usr/bin/id'], [sys.executable, '-c', 'print("BREACH")'], ['/lib64/ld-linux-x86-64.so.2', '/bin/sh']):
    with refused(OSError, subprocess.SubprocessError): subprocess.run(command, check=True)
if os.system('echo BREACH') == 0: print('BREACH')
with refused(): os.execv('/bin/sh', ['sh', '-c', 'echo BREACH'])
# === a second process
with refused():
    if os.fork() == 0: os._exit(0)
# === the scratch directory of another run
with contextlib.suppress(OSError):
    if os.listdir('/tmp'): print('BREACH', os.listdir('/tmp'))
    open('/tmp/left-behind', 'w').write('x')
# === what another run left behind
if os.path.exists('/tmp/left-behind'): print('BREACH')
"""

_BODIES = attacks(Kind.ESCAPE, _TEXT)
ESCAPES = tuple(Attack(a.name, a.kind, _HEAD + a.program) for a in _BODIES)
