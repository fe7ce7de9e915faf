/* What the kernel alone needs to start a container: `floor ROOT UPPER WORK OUT PROGRAM...`.
 *
 * The namespaces and mounts of a container of Ketch that has no network, and nothing else: no cgroup, no capabilities, no
 * seccomp, no log, no state. benches/native compares with it. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static void need(int result, const char *what) {
    if (result < 0) { perror(what); _exit(1); }
}

static void hang(const char *source, const char *target, const char *kind, unsigned long flags, const char *options) {
    need(mount(source, target, kind, flags, options), target);
}

static void devices(void) {
    static const struct { const char *path; int major, minor; } all[] = {
        {"dev/null", 1, 3}, {"dev/zero", 1, 5}, {"dev/full", 1, 7}, {"dev/random", 1, 8}, {"dev/urandom", 1, 9}, {"dev/tty", 5, 0}};
    for (unsigned at = 0; at < sizeof all / sizeof *all; at++)
        need(mknod(all[at].path, S_IFCHR | 0666, makedev(all[at].major, all[at].minor)), all[at].path);
    need(symlink("/proc/self/fd", "dev/fd"), "dev/fd");
    need(symlink("/proc/self/fd/0", "dev/stdin"), "dev/stdin");
    need(symlink("/proc/self/fd/1", "dev/stdout"), "dev/stdout");
    need(symlink("/proc/self/fd/2", "dev/stderr"), "dev/stderr");
}

/* What is not there on this kernel needs no mask. */
static void masks(void) {
    static const char *hidden[] = {"proc/kcore", "proc/keys", "proc/timer_list", "proc/latency_stats"};
    static const char *empty[] = {"proc/acpi", "proc/scsi", "sys/firmware"};
    static const char *fixed[] = {"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"};
    for (unsigned at = 0; at < 4; at++)
        if (!access(hidden[at], F_OK)) hang("dev/null", hidden[at], NULL, MS_BIND, NULL);
    for (unsigned at = 0; at < 3; at++)
        if (!access(empty[at], F_OK)) hang("tmpfs", empty[at], "tmpfs", MS_RDONLY, NULL);
    for (unsigned at = 0; at < 5; at++) {
        if (access(fixed[at], F_OK)) continue;
        hang(fixed[at], fixed[at], NULL, MS_BIND | MS_REC, NULL);
        hang(NULL, fixed[at], NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL);
    }
}

static void become(char **argv) {
    char options[8192];
    snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s", argv[1], argv[2], argv[3]);
    hang(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    /* Hidden below the overlay as soon as that is there, which is in this namespace alone. */
    hang("overlay", argv[1], "overlay", 0, options);
    need(chdir(argv[1]), "chdir");
    hang("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    hang("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=755,size=65536k");
    devices();
    need(mkdir("dev/pts", 0755) | mkdir("dev/shm", 01777) | mkdir("dev/mqueue", 01777), "dev");
    hang("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620");
    hang("shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=65536k");
    hang("mqueue", "dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    hang("sysfs", "sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL);
    masks();
    hang(argv[4], "out", NULL, MS_BIND, NULL);
    need(syscall(SYS_pivot_root, ".", "."), "pivot_root");
    need(umount2(".", MNT_DETACH), "umount");
    need(chdir("/"), "chdir");
    execv(argv[5], argv + 5);
    need(-1, argv[5]);
}

int main(int argc, char **argv) {
    int status, flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP;
    if (argc < 6) return 2;
    long child = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
    need(child, "clone");
    if (!child) become(argv);
    need(waitpid(child, &status, 0), "wait");
    return !WIFEXITED(status) || WEXITSTATUS(status);
}
