/* struct ucred, pipe2, close_range and prctl's constants */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "CLinuxProcess.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* By number: the C library of Debian 11 does not have them, and the numbers are the same on every architecture. */
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

/* The child after the fork. It never returns. */
static void run(const char *path, char *const argv[], int output, int death_signal, pid_t parent, int failure) {
    int error;
    int null;

    /* A handler of the parent's must not run here: exec resets handlers, but leaves what is ignored. */
    for (int number = 1; number < NSIG; number++) {
        if (number != SIGKILL && number != SIGSTOP) signal(number, SIG_DFL);
    }
    if (setsid() == -1) goto failed;
    if (prctl(PR_SET_PDEATHSIG, death_signal) == -1) goto failed;
    /* The parent may have died before prctl: then no signal will ever come. */
    if (getppid() != parent) _exit(127);

    /* Not close-on-exec: where standard input was closed it takes its place at once. */
    null = open("/dev/null", O_RDONLY);
    if (null == -1) goto failed;
    if (dup2(null, STDIN_FILENO) == -1) goto failed;
    if (dup2(output, STDOUT_FILENO) == -1 || dup2(output, STDERR_FILENO) == -1) goto failed;

    /* Everything from 4 on is closed, what others opened without O_CLOEXEC too; 3 carries the error and closes itself. */
    if (failure != 3) {
        if (dup3(failure, 3, O_CLOEXEC) == -1) goto failed;
        failure = 3;
    }
    if (syscall(SYS_close_range, 4u, ~0u, 0u) == -1) {
        long limit = sysconf(_SC_OPEN_MAX);
        if (limit < 0 || limit > 1048576) limit = 1048576;
        for (int descriptor = 4; descriptor < limit; descriptor++) close(descriptor);
    }

    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(path, argv);

failed:
    error = errno;
    while (write(failure, &error, sizeof error) == -1 && errno == EINTR) {}
    _exit(127);
}

struct portcullis_spawned portcullis_spawn(const char *path, char *const argv[], int output, int death_signal) {
    struct portcullis_spawned result = {.pid = -1, .pidfd = -1, .error = 0};
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) == -1) {
        result.error = errno;
        return result;
    }
    /* Descriptors 0 to 2 are replaced in the child: neither the log nor the pipe may be one of them. */
    int failure = fcntl(ends[1], F_DUPFD_CLOEXEC, 3);
    int log = failure == -1 ? -1 : fcntl(output, F_DUPFD_CLOEXEC, 4);
    if (log == -1) result.error = errno;
    close(ends[1]);
    if (log == -1) {
        close(ends[0]);
        if (failure != -1) close(failure);
        return result;
    }

    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) run(path, argv, log, death_signal, parent, failure);
    if (pid == -1) result.error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(failure);
    close(log);

    if (pid != -1) {
        /* Nothing comes where exec closed the pipe: then the program runs. */
        int error = 0;
        ssize_t count;
        do count = read(ends[0], &error, sizeof error);
        while (count == -1 && errno == EINTR);
        if (count == (ssize_t)sizeof error) {
            result.error = error;
            while (waitpid(pid, NULL, 0) == -1 && errno == EINTR) {}
        } else {
            result.pid = pid;
            /* Nobody but the caller waits for the child, so the pid is still its own. */
            result.pidfd = portcullis_pidfd_open(pid);
        }
    }
    close(ends[0]);
    return result;
}

int portcullis_pidfd_open(pid_t pid) {
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

int portcullis_pidfd_send_signal(int pidfd, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

pid_t portcullis_peer_pid(int socket) {
    struct ucred peer = {.pid = -1};
    socklen_t length = sizeof peer;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) == -1) return -1;
    return peer.pid;
}
