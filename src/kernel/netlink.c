#include "kernel/netlink.h"

#include <libmnl/libmnl.h>
#include <string.h>
#include <sys/time.h>

#define RECEIVE_SIZE        (64u * 1024)
#define SEND_SIZE           (256u * 1024)
#define SEND_SIZE_UNFORCED  (64u * 1024)
/* The default receive buffer holds 256 answers (measured); a send must not fill it with errors. */
#define SEND_COUNT_UNFORCED 128u
#define SOCKET_BUFFER_SIZE  (8 * 1024 * 1024)
#define DUMP_ATTEMPTS       5
#define DRAIN_MESSAGES      100000

/* What one answer of type NLMSG_ERROR or NLMSG_DONE says. */
struct reply {
        int code;
        const char *text;
};

/* One exchange: what is common to a request and one attempt of a dump. */
struct exchange {
        uint32_t sequence;
        bool dump;
        bool finished;
        bool interrupted;
        int result; /* the handler's */
        struct reply reply;
        netlink_handler handler;
        void *userdata;
};

struct netlink {
        struct mnl_socket *socket;
        int fd;
        int protocol;
        uint32_t sequence;
        size_t send_size;
        size_t send_count;
        char *send;
        char *receive;
        struct exchange dump; /* netlink_dump_begin() */
};

static bool force_buffer(int fd, int forced, int plain)
{
        int size = SOCKET_BUFFER_SIZE;

        if (setsockopt(fd, SOL_SOCKET, forced, &size, sizeof(size)) >= 0)
                return true;
        (void)setsockopt(fd, SOL_SOCKET, plain, &size, sizeof(size));
        return false;
}

static void netlink_configure(struct netlink *nl)
{
        struct timeval timeout = {.tv_sec = NETLINK_TIMEOUT_SEC};
        bool send_forced, receive_forced;
        int on = 1;

        /* Each is a refinement that an old kernel may lack: what is missing is done without. */
        (void)mnl_socket_setsockopt(nl->socket, NETLINK_EXT_ACK, &on, sizeof(on));
        (void)mnl_socket_setsockopt(nl->socket, NETLINK_CAP_ACK, &on, sizeof(on));
        (void)mnl_socket_setsockopt(nl->socket, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
        (void)setsockopt(nl->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
        send_forced = force_buffer(nl->fd, SO_SNDBUFFORCE, SO_SNDBUF);
        receive_forced = force_buffer(nl->fd, SO_RCVBUFFORCE, SO_RCVBUF);
        nl->send_size = send_forced ? SEND_SIZE : SEND_SIZE_UNFORCED;
        nl->send_count = receive_forced ? SIZE_MAX : SEND_COUNT_UNFORCED;
}

int netlink_new(int protocol, struct netlink **ret)
{
        _cleanup_(netlink_freep) struct netlink *nl = NULL;

        nl = calloc(1, sizeof(*nl));
        if (!nl)
                return -ENOMEM;
        nl->protocol = protocol;
        nl->socket = mnl_socket_open2(protocol, SOCK_CLOEXEC);
        if (!nl->socket)
                return -errno;
        nl->fd = mnl_socket_get_fd(nl->socket);
        if (mnl_socket_bind(nl->socket, 0, MNL_SOCKET_AUTOPID) < 0)
                return -errno;
        netlink_configure(nl);
        nl->send = malloc(nl->send_size);
        nl->receive = malloc(RECEIVE_SIZE);
        if (!nl->send || !nl->receive)
                return -ENOMEM;
        *ret = TAKE_PTR(nl);
        return 0;
}

struct netlink *netlink_free(struct netlink *nl)
{
        if (!nl)
                return NULL;
        if (nl->socket)
                mnl_socket_close(nl->socket);
        free(nl->send);
        free(nl->receive);
        free(nl);
        return NULL;
}

uint32_t netlink_port_id(const struct netlink *nl)
{
        return mnl_socket_get_portid(nl->socket);
}

static int netlink_send(struct netlink *nl, const void *data, size_t size)
{
        struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

        for (;;) {
                if (sendto(nl->fd, data, size, 0, (struct sockaddr *)&kernel, sizeof(kernel)) >= 0)
                        return 0;
                if (errno != EINTR)
                        return -errno;
        }
}

/* One datagram from the kernel into nl->receive. −ETIMEDOUT; −EAGAIN with MSG_DONTWAIT. */
static int netlink_receive(struct netlink *nl, int flags, size_t *ret)
{
        for (;;) {
                struct sockaddr_nl sender = {};
                struct iovec vector = {.iov_base = nl->receive, .iov_len = RECEIVE_SIZE};
                struct msghdr header = {
                        .msg_name = &sender,
                        .msg_namelen = sizeof(sender),
                        .msg_iov = &vector,
                        .msg_iovlen = 1,
                };
                ssize_t n = recvmsg(nl->fd, &header, flags);

                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        if (errno == EAGAIN && !(flags & MSG_DONTWAIT))
                                return -ETIMEDOUT;
                        return -errno;
                }
                if (sender.nl_pid != 0)
                        continue; /* not from the kernel */
                if (header.msg_flags & MSG_TRUNC)
                        return -EMSGSIZE;
                *ret = (size_t)n;
                return 0;
        }
}

/* Throws away what lies in the queue: after an error, and to let a broken dump come to its end. */
static void netlink_drain(struct netlink *nl)
{
        size_t n = 0;

        for (unsigned i = 0; i < DRAIN_MESSAGES; i++)
                if (netlink_receive(nl, MSG_DONTWAIT, &n) == -EAGAIN)
                        return;
}

/* The text among the attributes that stand `offset` bytes behind the header; "" when there is none.
 */
static const char *extack_text(const struct nlmsghdr *message, size_t offset)
{
        const struct nlattr *attribute;

        if (!(message->nlmsg_flags & NLM_F_ACK_TLVS) || mnl_nlmsg_get_payload_len(message) < offset)
                return "";
        mnl_attr_for_each(attribute, message, offset)
        {
                if (mnl_attr_get_type(attribute) == NLMSGERR_ATTR_MSG &&
                        mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0)
                        return mnl_attr_get_str(attribute);
        }
        return "";
}

static struct reply reply_decode(const struct nlmsghdr *message)
{
        const struct nlmsgerr *reply = mnl_nlmsg_get_payload(message);
        size_t size = mnl_nlmsg_get_payload_len(message);
        size_t offset = sizeof(*reply);
        int code;

        if (message->nlmsg_type == NLMSG_DONE) {
                if (size < sizeof(int))
                        return (struct reply){.text = ""};
                memcpy(&code, reply, sizeof(code));
                return (struct reply){code, extack_text(message, sizeof(code))};
        }
        if (size < sizeof(*reply))
                return (struct reply){-EBADMSG, ""};
        if (!(message->nlmsg_flags & NLM_F_CAPPED) && reply->msg.nlmsg_len > sizeof(reply->msg))
                offset += MNL_ALIGN(reply->msg.nlmsg_len - sizeof(reply->msg));
        return (struct reply){reply->error, extack_text(message, offset)};
}

int netlink_error_set(struct error *error, int code, const char *text)
{
        if (text[0])
                return error_set(error, code, "%s (%s)", text, strerror(-code));
        return error_set(error, code, "%s", strerror(-code));
}

static void exchange_message(struct exchange *exchange, const struct nlmsghdr *message)
{
        int r;

        if (message->nlmsg_seq != exchange->sequence || exchange->finished)
                return;
        if (message->nlmsg_flags & NLM_F_DUMP_INTR && exchange->dump)
                exchange->interrupted = true;
        if (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE) {
                exchange->reply = reply_decode(message);
                exchange->finished = true;
                return;
        }
        if (message->nlmsg_type < NLMSG_MIN_TYPE || !exchange->handler || exchange->result < 0)
                return;
        r = exchange->handler(message, exchange->userdata);
        if (r < 0)
                exchange->result = r;
}

/* Takes one datagram of the answer. */
static int exchange_receive(
        struct netlink *nl, struct exchange *exchange, int flags, struct error *error)
{
        const struct nlmsghdr *message = (const struct nlmsghdr *)(void *)nl->receive;
        size_t n = 0;
        int r, left;

        r = netlink_receive(nl, flags, &n);
        if (r < 0)
                return r;
        left = (int)n;
        for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
                exchange_message(exchange, message);
        if (exchange->finished && exchange->reply.code < 0) /* its text lies in the buffer */
                netlink_error_set(error, exchange->reply.code, exchange->reply.text);
        if (nl->protocol == NETLINK_GENERIC)
                explicit_bzero(nl->receive, n); /* a WireGuard dump holds the private key */
        return 0;
}

/* What a finished exchange has come to. */
static int exchange_result(const struct exchange *exchange, struct error *error)
{
        if (exchange->reply.code < 0)
                return exchange->reply.code;
        if (exchange->result < 0)
                return error_set(error, exchange->result, "%s", strerror(-exchange->result));
        return 0;
}

static int no_answer(struct netlink *nl, int code, struct error *error)
{
        netlink_drain(nl);
        return error_set(error, code, "no answer from the kernel: %s", strerror(-code));
}

/* Runs the exchange to its end, also when the handler has had enough: a dump must not be left half
 * read. */
static int exchange_run(struct netlink *nl, struct exchange *exchange, struct error *error)
{
        while (!exchange->finished) {
                int r = exchange_receive(nl, exchange, 0, error);

                if (r < 0)
                        return no_answer(nl, r, error);
        }
        return exchange_result(exchange, error);
}

int netlink_request(struct netlink *nl, struct nlmsghdr *message, netlink_handler handler,
        void *userdata, struct error *error)
{
        struct exchange exchange = {
                .sequence = ++nl->sequence,
                .handler = handler,
                .userdata = userdata,
        };
        int r;

        message->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
        message->nlmsg_seq = exchange.sequence;
        r = netlink_send(nl, message, message->nlmsg_len);
        if (r < 0)
                return error_set(error, r, "cannot send to the kernel: %s", strerror(-r));
        return exchange_run(nl, &exchange, error);
}

int netlink_dump(struct netlink *nl, struct nlmsghdr *message, netlink_handler handler,
        void *userdata, struct error *error)
{
        message->nlmsg_flags |= NLM_F_REQUEST | NLM_F_DUMP;
        for (unsigned i = 0; i < DUMP_ATTEMPTS; i++) {
                struct exchange exchange = {
                        .sequence = ++nl->sequence,
                        .dump = true,
                        .handler = handler,
                        .userdata = userdata,
                };
                int r;

                (void)handler(NULL, userdata);
                message->nlmsg_seq = exchange.sequence;
                r = netlink_send(nl, message, message->nlmsg_len);
                if (r < 0)
                        return error_set(error, r, "cannot send to the kernel: %s", strerror(-r));
                r = exchange_run(nl, &exchange, error);
                if (r < 0 || !exchange.interrupted)
                        return r;
        }
        return error_set(
                error, -EAGAIN, "what was read changed %d times while it was read", DUMP_ATTEMPTS);
}

int netlink_dump_begin(struct netlink *nl, struct nlmsghdr *message, netlink_handler handler,
        void *userdata, struct error *error)
{
        int r;

        nl->dump = (struct exchange){
                .sequence = ++nl->sequence,
                .dump = true,
                .handler = handler,
                .userdata = userdata,
        };
        message->nlmsg_flags |= NLM_F_REQUEST | NLM_F_DUMP;
        message->nlmsg_seq = nl->dump.sequence;
        r = netlink_send(nl, message, message->nlmsg_len);
        if (r < 0)
                return error_set(error, r, "cannot send to the kernel: %s", strerror(-r));
        return 0;
}

int netlink_dump_step(struct netlink *nl, struct error *error)
{
        int r = exchange_receive(nl, &nl->dump, MSG_DONTWAIT, error);

        if (r == -EAGAIN)
                return 0;
        if (r < 0)
                return error_set(error, r, "no answer from the kernel: %s", strerror(-r));
        if (!nl->dump.finished)
                return 0;
        r = exchange_result(&nl->dump, error);
        if (r >= 0 && nl->dump.interrupted)
                return error_set(error, -EAGAIN, "what was read changed while it was read");
        return r < 0 ? r : 1;
}

int netlink_fd(const struct netlink *nl)
{
        return nl->fd;
}

/* One send(2) of a batch: messages [first, first + n) under consecutive sequence numbers. */
struct batch_send {
        size_t first;
        size_t n;
        size_t answered; /* messages before this one are known to have succeeded or been reported */
        uint32_t sequence; /* of the first */
};

static size_t batch_fill(
        struct netlink *nl, const struct netlink_batch *batch, struct batch_send *send)
{
        struct nlmsghdr *message = NULL;
        size_t size = 0;

        send->sequence = nl->sequence + 1;
        while (send->first + send->n < batch->n && send->n < nl->send_count &&
                nl->send_size - size >= NETLINK_MESSAGE_MAX) {
                message = batch->build(nl->send + size, send->first + send->n, batch->userdata);
                message->nlmsg_flags |= NLM_F_REQUEST;
                message->nlmsg_seq = ++nl->sequence;
                size += MNL_ALIGN(message->nlmsg_len);
                send->n++;
        }
        if (message)
                message->nlmsg_flags |= NLM_F_ACK;
        return size;
}

static void batch_fail(const struct netlink_batch *batch, size_t from, size_t to, int code)
{
        for (size_t i = from; i < to; i++)
                batch->failed(i, code, "", batch->userdata);
}

static void batch_message(
        const struct netlink_batch *batch, struct batch_send *send, const struct nlmsghdr *message)
{
        size_t index = (uint32_t)(message->nlmsg_seq - send->sequence);
        struct reply reply;

        if (message->nlmsg_type != NLMSG_ERROR || index >= send->n || index < send->answered)
                return;
        reply = reply_decode(message);
        if (reply.code < 0)
                batch->failed(send->first + index, reply.code, reply.text, batch->userdata);
        send->answered = index + 1;
}

/*
 * Errors come in the order of the messages, and what a full queue loses is their tail. So after a
 * loss (ENOBUFS) what was queued before it is still good, and what is behind it is unknown.
 */
static int batch_collect(
        struct netlink *nl, const struct netlink_batch *batch, struct batch_send *send)
{
        bool lost = false;

        while (send->answered < send->n) {
                const struct nlmsghdr *message = (const struct nlmsghdr *)(void *)nl->receive;
                size_t n = 0;
                int r, left;

                r = netlink_receive(nl, lost ? MSG_DONTWAIT : 0, &n);
                if (r == -ENOBUFS) {
                        lost = true;
                        continue;
                }
                if (r == -EAGAIN) {
                        batch_fail(batch, send->first + send->answered, send->first + send->n,
                                -ENOBUFS);
                        return 0;
                }
                if (r < 0) {
                        batch_fail(batch, send->first + send->answered, send->first + send->n, r);
                        return r;
                }
                left = (int)n;
                for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
                        batch_message(batch, send, message);
        }
        return 0;
}

int netlink_batch(struct netlink *nl, const struct netlink_batch *batch)
{
        size_t done = 0;

        while (done < batch->n) {
                struct batch_send send = {.first = done};
                size_t size = batch_fill(nl, batch, &send);
                int r;

                r = netlink_send(nl, nl->send, size);
                if (r < 0) {
                        batch_fail(batch, done, batch->n, r);
                        return r;
                }
                r = batch_collect(nl, batch, &send);
                done += send.n;
                if (r < 0) {
                        batch_fail(batch, done, batch->n, r);
                        return r;
                }
        }
        return 0;
}
