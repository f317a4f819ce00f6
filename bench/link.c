/* A link between a client and a server on loopback: passes connections on with a delay each way and, towards the client, at a
   rate that all connections share.

     link LISTEN_PORT PORT MILLISECONDS BYTES_PER_SECOND

   A connection is two directions, each with a thread that reads and one that writes what has been on its way long enough. */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 64 << 10, PIECES = 128 };  /* on their way in one direction: more than delay times rate */

static int target_port;
static double delay, rate;
static double free_at;  /* when the link has passed on all that it has */
static pthread_mutex_t link_lock = PTHREAD_MUTEX_INITIALIZER;

typedef struct {
    double due;
    ssize_t size;  /* 0: the end */
    char *bytes;
} Piece;

typedef struct {
    int from, to, is_limited, is_over;
    Piece pieces[PIECES];
    unsigned first, last;
    pthread_mutex_t lock;
    pthread_cond_t changed;
} Direction;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void sleep_until(double due) {
    struct timespec time = {.tv_sec = (time_t)due, .tv_nsec = (long)((due - (time_t)due) * 1e9)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
}

static double through(ssize_t size) {
    double time = now();
    pthread_mutex_lock(&link_lock);
    if (free_at < time) free_at = time;
    free_at += size / rate;
    time = free_at;
    pthread_mutex_unlock(&link_lock);
    return time;
}

static void *read_pieces(void *argument) {
    Direction *way = argument;
    Piece piece;
    do {
        piece.bytes = malloc(PIECE);
        piece.size = recv(way->from, piece.bytes, PIECE, 0);
        if (piece.size < 0) piece.size = 0;
        piece.due = (way->is_limited ? through(piece.size) : now()) + delay;
        pthread_mutex_lock(&way->lock);
        while (way->last - way->first == PIECES && !way->is_over) pthread_cond_wait(&way->changed, &way->lock);
        if (way->is_over) {
            pthread_mutex_unlock(&way->lock);
            free(piece.bytes);
            return NULL;
        }
        way->pieces[way->last++ % PIECES] = piece;
        pthread_cond_broadcast(&way->changed);
        pthread_mutex_unlock(&way->lock);
    } while (piece.size > 0);
    return NULL;
}

static void *write_pieces(void *argument) {
    Direction *way = argument;
    for (;;) {
        pthread_mutex_lock(&way->lock);
        while (way->last == way->first) pthread_cond_wait(&way->changed, &way->lock);
        Piece piece = way->pieces[way->first % PIECES];
        pthread_mutex_unlock(&way->lock);
        sleep_until(piece.due);
        int is_over = piece.size == 0;
        for (ssize_t sent = 0, count; sent < piece.size && !is_over; sent += count) {
            count = send(way->to, piece.bytes + sent, piece.size - sent, MSG_NOSIGNAL);
            is_over = count <= 0;
        }
        free(piece.bytes);
        pthread_mutex_lock(&way->lock);
        way->first++;
        way->is_over = is_over;
        pthread_cond_broadcast(&way->changed);
        pthread_mutex_unlock(&way->lock);
        if (is_over) break;
    }
    shutdown(way->to, SHUT_WR);
    shutdown(way->from, SHUT_RD);  /* so that the thread that reads ends */
    return NULL;
}

static void *pass_on(void *argument) {
    Direction *way = argument;
    pthread_t reader;
    pthread_create(&reader, NULL, read_pieces, way);
    write_pieces(way);
    pthread_join(reader, NULL);
    for (; way->first != way->last; way->first++) free(way->pieces[way->first % PIECES].bytes);
    free(way);
    return NULL;
}

static void *serve(void *argument) {
    int client = *(int *)argument, one = 1, server = socket(AF_INET, SOCK_STREAM, 0);
    free(argument);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(target_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (server < 0 || connect(server, (struct sockaddr *)&address, sizeof address)) { close(client); return NULL; }
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    Direction *up = calloc(1, sizeof *up), *down = calloc(1, sizeof *down);
    *up = (Direction){.from = client, .to = server, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    *down = (Direction){.from = server, .to = client, .is_limited = 1, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    pthread_t thread;
    pthread_create(&thread, NULL, pass_on, up);
    pass_on(down);
    pthread_join(thread, NULL);
    close(client);
    close(server);
    return NULL;
}

int main(int count, char **words) {
    if (count != 5) { fputs("link: see its first lines for how it is used\n", stderr); return 1; }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(words[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    target_port = atoi(words[2]), delay = atof(words[3]) / 1000, rate = atof(words[4]);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1024)) { perror("link"); return 1; }
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
    for (;;) {
        int *client = malloc(sizeof *client);
        if ((*client = accept(listener, NULL, NULL)) < 0) { free(client); continue; }
        pthread_t thread;
        pthread_create(&thread, &small, serve, client);
    }
}
