/* Uploads over TLS with a client certificate, as fast as a server takes them: wrk shows no certificate, and ab sends the
   same body each time. One thread and one keep-alive connection each, blocking; no upload is like another.

     load CONNECTIONS SECONDS PORT METHOD PATH SIZE BODIES CERTIFICATE KEY
     load get CONNECTIONS PORT PATHS
     load sign KEY <lines >signatures

   A % in PATH becomes a name that is used once. SIZE: bytes of a body that is made up, different each time; 0: bodies are
   the lines of the file BODIES, in turn. METHOD `registry` uploads to a registry of containers: POST for a place, then
   PUT with the SHA-256. Prints the uploads that were answered with success, the seconds they took, and that in which 99 of
   100 were answered; the first other answer ends it with 1. `get` downloads the paths in the lines of the file PATHS, each
   once, over plain HTTP, and throws the bodies away in the kernel; it prints the same of these, and their bytes. `sign` writes the RSA signature (SHA-1, base64) of each line, as deployed clients make it. */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { HEAD = 4096, UNIQUE = 64 };

static SSL_CTX *context;
static int port;
static double seconds;
static const char *method, *path;
static size_t size;
static char **bodies;
static size_t body_count;
static EVP_MD_CTX *prefix;  /* SHA-256 of a made up body but for its last UNIQUE bytes */
static unsigned long long this_run;  /* another number in each process */
static atomic_size_t turn;  /* through the bodies */
static pthread_barrier_t ready;

typedef struct {
    SSL *tls;
    int descriptor;
    int number;
    unsigned long long sent;  /* uploads that were begun */
    unsigned long long answered;
    unsigned long long bytes;
    double ended;
    float *times;  /* of each answer, in seconds */
    char *body;
    char head[HEAD], location[HEAD];
} Client;

static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static int open_socket(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, descriptor = socket(AF_INET, SOCK_STREAM, 0);
    if (descriptor < 0 || connect(descriptor, (struct sockaddr *)&address, sizeof address)) fail("connect: %m");
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return descriptor;
}

static void connect_to_server(Client *client) {
    client->tls = SSL_new(context);
    SSL_set_fd(client->tls, open_socket());
    SSL_set_tlsext_host_name(client->tls, "localhost");
    if (SSL_connect(client->tls) != 1) fail("TLS handshake failed");
}

static void disconnect(Client *client) {
    int descriptor = SSL_get_fd(client->tls);
    SSL_free(client->tls);
    close(descriptor);
    client->tls = NULL;
}

static void send_all(Client *client, const char *bytes, size_t count) {
    if (count && SSL_write(client->tls, bytes, count) != (int)count) fail("the server closed the connection early");
}

static const char *header(Client *client, const char *name) {
    for (char *line = strstr(client->head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (!strncasecmp(line + 2, name, strlen(name))) return line + 2 + strlen(name) + 1 + strspn(line + 3 + strlen(name), " ");
    return NULL;
}

/* Reads one answer, and goes on on a new connection if it was the last on this. */
static int receive(Client *client) {
    size_t filled = 0;
    char *end = NULL;
    while (!end) {
        int count = SSL_read(client->tls, client->head + filled, HEAD - 1 - filled);
        if (count <= 0) fail("the connection ended before an answer, or its head is too long");
        filled += count;
        client->head[filled] = 0;
        end = strstr(client->head, "\r\n\r\n");
    }
    const char *length = header(client, "content-length"), *connection = header(client, "connection");
    long left = (length ? atol(length) : 0) - (long)(filled - (end + 4 - client->head));
    int status = atoi(client->head + 9), last = connection && !strncasecmp(connection, "close", 5);
    if (status / 100 != 2) fail("%s %s: answered with\n%s", method, path, client->head);
    if (header(client, "transfer-encoding")) fail("an answer in chunks, which this doesn't read");
    const char *location = header(client, "location");
    if (location) snprintf(client->location, HEAD, "%.*s", (int)strcspn(location, "\r\n"), location);
    char rest[HEAD];
    while (left > 0) {
        int count = SSL_read(client->tls, rest, left < HEAD ? left : HEAD);
        if (count <= 0) fail("the connection ended within an answer");
        left -= count;
    }
    if (last) { disconnect(client); connect_to_server(client); }
    return status;
}

static void request(Client *client, const char *verb, const char *target, const char *type, const char *body, size_t count) {
    char head[2 * HEAD];
    int length = snprintf(head, sizeof head,
        "%s %s HTTP/1.1\r\nHost: localhost:%d\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", verb, target, port, type, count);
    send_all(client, head, length);
    send_all(client, body, count);
}

static void upload_to_registry(Client *client) {
    request(client, "POST", path, "application/octet-stream", "", 0);
    receive(client);
    unsigned char hash[32];
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    EVP_MD_CTX_copy_ex(digest, prefix);
    EVP_DigestUpdate(digest, client->body + size - UNIQUE, UNIQUE);
    EVP_DigestFinal_ex(digest, hash, NULL);
    EVP_MD_CTX_free(digest);
    char target[HEAD], *place = strstr(client->location, "/v2/");
    if (!place) fail("no place for a blob in %s", client->location);
    int length = snprintf(target, sizeof target - 80, "%s&digest=sha256:", place);
    for (int byte = 0; byte < 32; byte++) length += sprintf(target + length, "%02x", hash[byte]);
    request(client, "PUT", target, "application/octet-stream", client->body, size);
}

static void upload(Client *client) {
    char name[UNIQUE + 1], target[HEAD];
    snprintf(name, sizeof name, "%016llx-%d-%016llu", this_run, client->number, client->sent++);
    if (size) snprintf(client->body + size - UNIQUE, UNIQUE + 1, "%*s", UNIQUE, name);
    if (!strcmp(method, "registry")) {
        upload_to_registry(client);
    } else {
        const char *mark = strchr(path, '%');
        int before = mark ? (int)(mark - path) : (int)strlen(path);
        snprintf(target, sizeof target, "%.*s%s%s", before, path, mark ? name : "", mark ? mark + 1 : "");
        const char *body = size ? client->body : bodies[atomic_fetch_add(&turn, 1) % body_count];
        request(client, method, target, size ? "application/octet-stream" : "application/json", body, size ? size : strlen(body));
    }
    receive(client);
}

static void note(Client *client, double begun) {
    client->ended = now();
    if ((client->answered & (client->answered + 1)) == 0)  /* it is full */
        client->times = realloc(client->times, 2 * (client->answered + 1) * sizeof *client->times);
    client->times[client->answered++] = client->ended - begun;
}

static void *work(void *argument) {
    Client *client = argument;
    connect_to_server(client);
    if (size) client->body = memset(malloc(size + 1), 'x', size + 1);
    pthread_barrier_wait(&ready);
    double begun = now(), deadline = begun + seconds;
    do {
        upload(client);
        note(client, begun);
        begun = client->ended;
    } while (begun < deadline);
    disconnect(client);
    return NULL;
}

static void get(Client *client, const char *target) {
    size_t filled = 0;
    char *end = NULL;
    int length = snprintf(client->head, HEAD, "GET %s HTTP/1.1\r\nHost: localhost:%d\r\n\r\n", target, port);
    if (send(client->descriptor, client->head, length, MSG_NOSIGNAL) != length) fail("%s: can't be asked for", target);
    while (!end) {
        ssize_t count = recv(client->descriptor, client->head + filled, HEAD - 1 - filled, 0);
        if (count <= 0) fail("%s: no answer, or its head is too long", target);
        client->head[filled += count] = 0;
        end = strstr(client->head, "\r\n\r\n");
    }
    const char *size = header(client, "content-length"), *connection = header(client, "connection");
    if (atoi(client->head + 9) != 200 || !size) fail("GET %s: answered with\n%s", target, client->head);
    long left = atol(size) - (long)(filled - (end + 4 - client->head));
    int is_last = connection && !strncasecmp(connection, "close", 5);
    client->bytes += atol(size);
    while (left > 0) {
        ssize_t count = recv(client->descriptor, NULL, left < 1 << 20 ? left : 1 << 20, MSG_TRUNC);
        if (count <= 0) fail("%s: cut", target);
        left -= count;
    }
    if (is_last) { close(client->descriptor); client->descriptor = open_socket(); }
}

static void *get_all(void *argument) {
    Client *client = argument;
    client->descriptor = open_socket();
    pthread_barrier_wait(&ready);
    for (size_t number; (number = atomic_fetch_add(&turn, 1)) < body_count;) {
        double begun = now();
        get(client, bodies[number]);
        note(client, begun);
    }
    close(client->descriptor);
    return NULL;
}

static int by_size(const void *one, const void *other) {
    return (*(float *)one > *(float *)other) - (*(float *)one < *(float *)other);
}

/* What all have done, and the time in which 99 of 100 were answered. */
static void report(Client *clients, int connections, double begun) {
    unsigned long long answered = 0, bytes = 0;
    double ended = begun;
    for (int number = 0; number < connections; number++) {
        answered += clients[number].answered;
        bytes += clients[number].bytes;
        if (clients[number].ended > ended) ended = clients[number].ended;
    }
    float *times = malloc((answered + 1) * sizeof *times);
    for (int number = 0, filled = 0; number < connections; filled += clients[number++].answered)
        memcpy(times + filled, clients[number].times, clients[number].answered * sizeof *times);
    qsort(times, answered, sizeof *times, by_size);
    printf("%llu %f %f %llu\n", answered, ended - begun, answered ? times[(answered * 99 - 1) / 100] : 0, bytes);
}

static void run(int connections, void *(*work)(void *)) {
    Client *clients = calloc(connections, sizeof *clients);
    pthread_t *threads = calloc(connections, sizeof *threads);
    pthread_barrier_init(&ready, NULL, connections + 1);
    for (int number = 0; number < connections; number++) {
        clients[number].number = number;
        pthread_create(&threads[number], NULL, work, &clients[number]);
    }
    pthread_barrier_wait(&ready);
    double begun = now();
    for (int number = 0; number < connections; number++) pthread_join(threads[number], NULL);
    report(clients, connections, begun);
}

static void read_bodies(const char *file) {
    FILE *lines = fopen(file, "r");
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    if (!lines) fail("%s: %m", file);
    while ((length = getline(&line, &room, lines)) > 0) {
        line[length - 1] = 0;
        bodies = realloc(bodies, (body_count + 1) * sizeof *bodies);
        bodies[body_count++] = strdup(line);
    }
    if (!body_count) fail("%s: empty", file);
}

static int sign(const char *file) {
    FILE *pem = fopen(file, "r");
    EVP_PKEY *key = pem ? PEM_read_PrivateKey(pem, NULL, NULL, NULL) : NULL;
    if (!key) fail("%s: no private key", file);
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    while ((length = getline(&line, &room, stdin)) > 0) {
        unsigned char signature[1024], text[2048];
        size_t count = sizeof signature;
        EVP_MD_CTX *digest = EVP_MD_CTX_new();
        if (EVP_DigestSignInit(digest, NULL, EVP_sha1(), NULL, key) != 1 ||
            EVP_DigestSign(digest, signature, &count, (unsigned char *)line, length - 1) != 1) fail("%s: can't sign", file);
        EVP_MD_CTX_free(digest);
        EVP_EncodeBlock(text, signature, count);
        puts((char *)text);
    }
    return 0;
}

int main(int count, char **words) {
    if (count == 3 && !strcmp(words[1], "sign")) return sign(words[2]);
    if (count == 5 && !strcmp(words[1], "get")) {
        port = atoi(words[3]);
        read_bodies(words[4]);
        run(atoi(words[2]), get_all);
        return 0;
    }
    if (count != 10) fail("see its first lines for how it is used");
    int connections = atoi(words[1]);
    seconds = atof(words[2]), port = atoi(words[3]), method = words[4], path = words[5], size = atol(words[6]);
    if (size && size < UNIQUE) fail("a body has at least %d bytes", UNIQUE);
    if (getentropy(&this_run, sizeof this_run)) fail("getentropy: %m");
    if (!size) {
        read_bodies(words[7]);
        turn = this_run % body_count;
    }
    context = SSL_CTX_new(TLS_client_method());
    if (SSL_CTX_use_certificate_chain_file(context, words[8]) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, words[9], SSL_FILETYPE_PEM) != 1) fail("%s: no certificate with its key", words[8]);
    if (size) {
        char *body = memset(malloc(size), 'x', size);
        prefix = EVP_MD_CTX_new();
        EVP_DigestInit_ex(prefix, EVP_sha256(), NULL);
        EVP_DigestUpdate(prefix, body, size - UNIQUE);
    }
    run(connections, work);
    return 0;
}
