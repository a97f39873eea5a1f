/*
 * Faults between a program and the kernel's netlink, by LD_PRELOAD; which ones is written into the
 * file that $NODECRYPTOR_FAULTS names (mapped, so that a test changes it while the program runs;
 * tests/lib/faults.py). Nothing of it is in the program.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The order is that of FIELDS in faults.py. */
struct faults {
        uint32_t writes;          /* rules and routes that the program has asked for, a counter */
        uint32_t kill_before;     /* SIGKILL before the write of that number; 0: never */
        uint32_t refuse_types;    /* bit n: message type RTM_BASE + n is refused … */
        uint32_t refuse_errno;    /* … with this */
        uint32_t refused;         /* a counter */
        uint32_t send_errno;      /* sends of writes fail with this */
        uint32_t lose_answers;    /* so many answers to writes never come */
        uint32_t cut_dumps;       /* 1: messages of dumps do not fit */
        uint32_t interrupt_dumps; /* 1: what is dumped has changed meanwhile */
        uint32_t lose_events;     /* so many times the queue of announcements overflows */
        uint32_t unknown;         /* 1: rules and routes have an attribute nobody knows … */
        uint32_t unknown_value;   /* … with this value */
        uint32_t no_strict;       /* 1: a kernel without NETLINK_GET_STRICT_CHK */
};

#define REFUSED_TYPE      0x7ff0 /* rtnetlink has none of that number: -EOPNOTSUPP */
#define UNKNOWN_ATTRIBUTE 0x3ff0
#define ROOM              (256u * 1024)

static struct faults none, *faults = &none;

__attribute__((constructor)) static void map(void)
{
        const char *path = getenv("NODECRYPTOR_FAULTS");
        int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
        void *mapped = MAP_FAILED;

        if (fd >= 0)
                mapped = mmap(NULL, sizeof(*faults), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (mapped != MAP_FAILED)
                faults = mapped;
}

static bool is_write(uint16_t type)
{
        return type == RTM_NEWRULE || type == RTM_DELRULE || type == RTM_NEWROUTE ||
               type == RTM_DELROUTE;
}

static bool is_refused(uint16_t type)
{
        return type >= RTM_BASE && type - RTM_BASE < 32 &&
               faults->refuse_types & (1u << (type - RTM_BASE));
}

/* Counts, refuses, and says how many bytes go before the process is to end; 0: all. */
static size_t look_through(char *bytes, size_t size, bool *ret_writes)
{
        for (size_t done = 0; done + sizeof(struct nlmsghdr) <= size;) {
                struct nlmsghdr *message = (void *)(bytes + done);

                if (is_write(message->nlmsg_type)) {
                        *ret_writes = true;
                        if (++faults->writes == faults->kill_before)
                                return done;
                }
                if (is_refused(message->nlmsg_type)) {
                        message->nlmsg_type = REFUSED_TYPE;
                        faults->refused++;
                }
                done += NLMSG_ALIGN(message->nlmsg_len);
        }
        return size;
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to,
        socklen_t to_size)
{
        static char copy[ROOM];
        bool writes = false;
        size_t before;

        if (!to || to->sa_family != AF_NETLINK || size > sizeof(copy))
                return syscall(SYS_sendto, fd, data, size, flags, to, to_size);
        memcpy(copy, data, size);
        before = look_through(copy, size, &writes);
        if (before < size) {
                if (before > 0)
                        (void)syscall(SYS_sendto, fd, copy, before, flags, to, to_size);
                (void)kill(getpid(), SIGKILL);
        }
        if (writes && faults->send_errno) {
                errno = (int)faults->send_errno;
                return -1;
        }
        return syscall(SYS_sendto, fd, copy, size, flags, to, to_size);
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
        if (faults->no_strict && level == SOL_NETLINK && option == NETLINK_GET_STRICT_CHK) {
                errno = ENOPROTOOPT;
                return -1;
        }
        return (int)syscall(SYS_setsockopt, fd, level, option, value, size);
}

/* 'n': no netlink; 'm': listens to multicast groups; 'r': requests. */
static char kind_of(int fd)
{
        struct sockaddr_nl name = {};
        socklen_t size = sizeof(name);

        if (getsockname(fd, (struct sockaddr *)&name, &size) < 0 || name.nl_family != AF_NETLINK)
                return 'n';
        return name.nl_groups ? 'm' : 'r';
}

static ssize_t lose_queue(int fd, struct msghdr *header)
{
        while (syscall(SYS_recvmsg, fd, header, MSG_DONTWAIT) >= 0)
                continue;
        errno = ENOBUFS;
        return -1;
}

/* Each rule and route with one attribute more; what does not fit stays as it is. */
static size_t add_unknown(char *bytes, size_t size, size_t room)
{
        static char copy[ROOM];
        size_t filled = 0;

        for (size_t done = 0; done + sizeof(struct nlmsghdr) <= size;) {
                struct nlmsghdr *message = (void *)(bytes + done), *copied;
                size_t length = NLMSG_ALIGN(message->nlmsg_len);
                struct rtattr attribute = {RTA_LENGTH(4), UNKNOWN_ATTRIBUTE};

                if (filled + length + RTA_SPACE(4) > room || room > sizeof(copy))
                        return size;
                memcpy(copy + filled, message, length);
                copied = (void *)(copy + filled);
                filled += length;
                if (message->nlmsg_type == RTM_NEWRULE || message->nlmsg_type == RTM_NEWROUTE) {
                        memset(copy + filled, 0, RTA_SPACE(4));
                        memcpy(copy + filled, &attribute, sizeof(attribute));
                        memcpy(copy + filled + RTA_LENGTH(0), &faults->unknown_value, 4);
                        copied->nlmsg_len = (uint32_t)(length + RTA_LENGTH(4));
                        filled += RTA_SPACE(4);
                }
                done += length;
        }
        memcpy(bytes, copy, filled);
        return filled;
}

static void change_answer(struct nlmsghdr *message)
{
        struct nlmsgerr *error = NLMSG_DATA(message);

        if (message->nlmsg_type == NLMSG_ERROR && error->msg.nlmsg_type == REFUSED_TYPE)
                error->error = -(int)faults->refuse_errno;
        if (faults->interrupt_dumps && message->nlmsg_flags & NLM_F_MULTI &&
                message->nlmsg_type != NLMSG_DONE)
                message->nlmsg_flags |= NLM_F_DUMP_INTR;
}

static bool answers_a_write(const struct nlmsghdr *message)
{
        const struct nlmsgerr *error = NLMSG_DATA(message);

        return message->nlmsg_type == NLMSG_ERROR && is_write(error->msg.nlmsg_type);
}

ssize_t recvmsg(int fd, struct msghdr *header, int flags)
{
        char kind = kind_of(fd);
        struct nlmsghdr *first;
        ssize_t n;

        if (kind == 'm' && faults->lose_events > 0) {
                faults->lose_events--;
                return lose_queue(fd, header);
        }
        n = syscall(SYS_recvmsg, fd, header, flags);
        if (kind == 'n' || n < (ssize_t)sizeof(*first))
                return n;
        first = header->msg_iov->iov_base;
        if (faults->unknown)
                n = (ssize_t)add_unknown((char *)first, (size_t)n, header->msg_iov->iov_len);
        if (kind == 'm')
                return n;
        if (faults->lose_answers > 0 && answers_a_write(first)) {
                faults->lose_answers--;
                errno = EAGAIN; /* as when SO_RCVTIMEO is over */
                return -1;
        }
        if (faults->cut_dumps && first->nlmsg_flags & NLM_F_MULTI)
                header->msg_flags |= MSG_TRUNC;
        for (size_t done = 0; done + sizeof(*first) <= (size_t)n;) {
                struct nlmsghdr *message = (void *)((char *)first + done);

                change_answer(message);
                done += NLMSG_ALIGN(message->nlmsg_len);
        }
        return n;
}
