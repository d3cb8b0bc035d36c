#ifndef PORTCULLIS_CLINUX_PROCESS_H
#define PORTCULLIS_CLINUX_PROCESS_H

#include <sys/types.h>

/* What a shim reports besides its result: a child, or why there is none. */
struct portcullis_spawned {
    pid_t pid;   /* the child, or -1 */
    int pidfd;   /* a descriptor of it, close-on-exec; -1 where the kernel has none */
    int error;   /* errno of what failed, in the parent or in the child before the program ran; 0 */
};

/*
 * Runs the program at `path` in a session of its own, so that Ctrl-C in the terminal reaches only its parent. Its standard
 * input is /dev/null, its output and errors go to `output`; it inherits no other descriptor, no blocked and no ignored signal.
 *
 * The child gets `death_signal` when the *thread* that called this ends, and with it when the process dies however: that
 * thread must outlive the child.
 *
 * This is in C because between fork and exec only async-signal-safe functions may be called; Swift promises none.
 */
struct portcullis_spawned portcullis_spawn(const char *path, char *const argv[], int output, int death_signal);

/* A descriptor of a running process, close-on-exec; -1 and errno. It names that very process, whoever gets its pid later. */
int portcullis_pidfd_open(pid_t pid);

/* Sends a signal to the process behind a descriptor; 0, or -1 and errno. */
int portcullis_pidfd_send_signal(int pidfd, int signal);

/* The process that listens on the other end of a connected unix socket; -1 and errno. */
pid_t portcullis_peer_pid(int socket);

#endif
