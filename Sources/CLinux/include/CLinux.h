#ifndef PORTCULLIS_CLINUX_H
#define PORTCULLIS_CLINUX_H

#include <malloc.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/un.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "CLinuxFile.h"
#include "CLinuxProcess.h"

// Glibc shows these under _GNU_SOURCE only.
extern int pthread_setname_np(pthread_t thread, const char *name);
extern int accept4(int descriptor, struct sockaddr *address, socklen_t *length, int flags);
extern long syscall(long number, ...);

// The system calls as they are, with the same results and errno as glibc's functions of these names, which make each a point where the thread may
// be cancelled, by two atomic operations a call. Nobody cancels a thread here.
static inline ssize_t portcullis_recv(int descriptor, void *buffer, size_t count, int flags) {
    return syscall(SYS_recvfrom, descriptor, buffer, count, flags, NULL, NULL);
}

static inline ssize_t portcullis_send(int descriptor, const void *buffer, size_t count, int flags) {
    return syscall(SYS_sendto, descriptor, buffer, count, flags, NULL, 0);
}

static inline int portcullis_close(int descriptor) { return (int)syscall(SYS_close, descriptor); }

#endif
