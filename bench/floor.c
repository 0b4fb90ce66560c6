/* A client that only reads and counts: what receiving costs on this machine when nothing is kept of it.
 *
 *     floor PORT STREAMS TOKENS SECONDS
 *
 * Holds STREAMS requests of TOKENS tokens each on 127.0.0.1 for SECONDS, one recvmsg(2) with the kernel's receive time
 * per wake-up of a socket. Its CPU is counted from when all requests are out. Prints one JSON object. An event is a
 * content chunk of the truth server, whose answers begin with one event beside the content and end with three (finish,
 * usage, [DONE]), and whose last write is small enough to arrive whole.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define AT_ONCE 64
#define START "HTTP/1.1 "
#define END "0\r\n\r\n"

static char request[1024], buffer[256 << 10], control[128];
static int request_size;
static long events, reads, turns;

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static double cpu_s(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void ask(int fd) {
    if (send(fd, request, request_size, MSG_NOSIGNAL) != request_size)
        fail("send");
}

static void open_stream(int epoll, struct sockaddr_in *server) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    struct epoll_event wanted = {.events = EPOLLIN, .data.fd = fd};
    if (fd < 0 || connect(fd, (struct sockaddr *)server, sizeof *server))
        fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &wanted);
    ask(fd);
}

static void read_once(int fd) {
    struct iovec space = {buffer, sizeof buffer};
    struct msghdr message = {
        .msg_iov = &space, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t size = recvmsg(fd, &message, 0);
    char *at = buffer;
    if (size < 0)
        return;
    if (size == 0) {
        fputs("the server closed a stream\n", stderr);
        exit(1);
    }
    reads++;
    while ((at = memmem(at, buffer + size - at, "\n\n", 2))) {
        events++;
        at += 2;
    }
    if (size >= (ssize_t)strlen(START) && !memcmp(buffer, START, strlen(START)))
        events -= 1;
    if (size >= (ssize_t)strlen(END) && !memcmp(buffer + size - strlen(END), END, strlen(END))) {
        events -= 3;
        ask(fd);
    }
}

int main(int count, char **words) {
    if (count != 5) {
        fputs("floor PORT STREAMS TOKENS SECONDS\n", stderr);
        return 2;
    }
    int streams = atoi(words[2]), epoll = epoll_create1(0);
    double seconds = atof(words[4]);
    struct sockaddr_in server = {
        .sin_family = AF_INET, .sin_port = htons(atoi(words[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char body[400];
    int size = snprintf(body, sizeof body,
                        "{\"model\":\"truth\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
                        "\"max_tokens\":%d,\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
                        atoi(words[3]));
    request_size = snprintf(request, sizeof request,
                            "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                            "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                            size, body);
    for (int i = 0; i < streams; i++) {
        open_stream(epoll, &server);
        if (i % 16 == 15)
            usleep(2000); /* spread over the gap between two tokens, as arrivals are */
    }
    double start_s = now_s(), cpu_before_s = cpu_s();
    while (now_s() < start_s + seconds) {
        struct epoll_event ready[AT_ONCE];
        int n = epoll_wait(epoll, ready, AT_ONCE, 100);
        turns++;
        for (int i = 0; i < n; i++)
            read_once(ready[i].data.fd);
    }
    double span_s = now_s() - start_s;
    if (events <= 0) {
        fputs("no event arrived\n", stderr);
        return 1;
    }
    printf("{\"us_per_event\": %.3f, \"events_per_s\": %.0f, \"reads\": %ld, \"turns\": %ld}\n",
           (cpu_s() - cpu_before_s) / events * 1e6, events / span_s, reads, turns);
    return 0;
}
