/* Every function, used well and badly. Argument: the configuration of a till with the terminals `counter`, and `slow`,
 * which takes 2 s for each step, and the printer `receipt`. */
#define _DEFAULT_SOURCE /* usleep */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tresen.h"

#define CHECK(condition)                                                                   \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            char *error = tresen_last_error();                                             \
            fprintf(stderr, "%s:%d: %s\n%s\n", __FILE__, __LINE__, #condition, error ? error : "no error"); \
            exit(1);                                                                       \
        }                                                                                  \
    } while (0)

/* The last error of this thread contains `text`. */
static void error_has(const char *text) {
    char *error = tresen_last_error();
    CHECK(error != NULL);
    if (strstr(error, text) == NULL) {
        fprintf(stderr, "expected `%s` in %s\n", text, error);
        exit(1);
    }
    tresen_free(error);
}

/* Calls, and returns the reply, which has to contain `text`. */
static char *call(tresen_handle till, const char *command, const char *with, const char *key, const char *text) {
    char *reply = NULL;
    CHECK(tresen_call(till, command, with, key, &reply) == TRESEN_STATUS_OK);
    CHECK(reply != NULL);
    if (strstr(reply, text) == NULL) {
        fprintf(stderr, "%s: expected `%s` in %s\n", command, text, reply);
        exit(1);
    }
    return reply;
}

static void wait_ready(tresen_handle till, const char *phase) {
    for (int i = 0; i < 3000; i++) {
        char *reply = NULL;
        CHECK(tresen_call(till, "till.phase", phase, NULL, &reply) == TRESEN_STATUS_OK);
        int ready = strstr(reply, "ready") != NULL;
        tresen_free(reply);
        if (ready) return;
        usleep(10 * 1000);
    }
    CHECK(!"the device is not ready within 30 s");
}

static void *pay_slowly(void *till) {
    return call(*(tresen_handle *)till, "terminal.pay", "{\"terminal\":\"slow\",\"amount\":\"1.00 EUR\"}", "slow-1",
                "\"not-charged\"");
}

static void *wait_for_events(void *events) {
    char *event = NULL;
    tresen_status status;
    do {
        status = tresen_next_event(*(tresen_handle *)events, -1, &event);
        tresen_free(event);
    } while (status == TRESEN_STATUS_OK);
    /* It was waiting when the handle was closed, or came a moment too late to begin. */
    CHECK(status == TRESEN_STATUS_ENDED || status == TRESEN_STATUS_INVALID);
    return NULL;
}

static void *ask_often(void *till) {
    for (int i = 0; i < 50; i++) {
        tresen_free(call(*(tresen_handle *)till, "till.info", NULL, NULL, "Till of the C program"));
    }
    return NULL;
}

int main(int count, char **args) {
    const char *bad = "\xff\xfe";
    tresen_handle till = 7, none = 7, events = 7;
    char *reply = (char *)"not set";
    int32_t found = 7;

    CHECK(count == 2);
    CHECK(strlen(tresen_version()) >= 5);
    CHECK(tresen_last_error() == NULL);
    tresen_free(NULL);

    /* Opening, badly. */
    CHECK(tresen_open(NULL, &till) == TRESEN_STATUS_INVALID && till == 0);
    error_has("`config` is null");
    CHECK(tresen_open(bad, &till) == TRESEN_STATUS_INVALID && till == 0);
    error_has("UTF-8");
    CHECK(tresen_open(args[1], NULL) == TRESEN_STATUS_INVALID);
    error_has("`till` is null");
    CHECK(tresen_open("/nowhere/till.toml", &till) == TRESEN_STATUS_FAILED && till == 0);
    error_has("\"kind\":\"not-found\"");
    CHECK(tresen_connect("wss://127.0.0.1:1", NULL, &none) == TRESEN_STATUS_INVALID && none == 0);
    error_has("`options` is null");
    CHECK(tresen_connect("wss://127.0.0.1:1", "{\"identity\":\"/nowhere\"}", &none) == TRESEN_STATUS_FAILED && none == 0);
    error_has("\"kind\":\"not-found\"");
    CHECK(tresen_connect("wss://127.0.0.1:1", "{\"token\":17}", &none) == TRESEN_STATUS_INVALID && none == 0);
    CHECK(tresen_connect("ws://127.0.0.1:1", "{\"token\":\"x\"}", &none) == TRESEN_STATUS_FAILED && none == 0);
    error_has("\"kind\":\"refused\"");

    /* A handle that never was. */
    CHECK(tresen_call(0, "till.info", NULL, NULL, &reply) == TRESEN_STATUS_INVALID && reply == NULL);
    CHECK(tresen_call(12345, "till.info", NULL, NULL, &reply) == TRESEN_STATUS_INVALID && reply == NULL);
    CHECK(tresen_close(12345, 0) == TRESEN_STATUS_INVALID);

    CHECK(tresen_open(args[1], &till) == TRESEN_STATUS_OK && till != 0);
    CHECK(tresen_last_error() == NULL);
    /* One program has the database at a time. */
    CHECK(tresen_open(args[1], &none) == TRESEN_STATUS_FAILED && none == 0);
    error_has("\"kind\":\"busy\"");

    /* Calling, badly. */
    CHECK(tresen_call(till, NULL, NULL, NULL, &reply) == TRESEN_STATUS_INVALID);
    CHECK(tresen_call(till, bad, NULL, NULL, &reply) == TRESEN_STATUS_INVALID);
    CHECK(tresen_call(till, "till.info", NULL, NULL, NULL) == TRESEN_STATUS_INVALID);
    CHECK(tresen_call(till, "till.info", "{", NULL, &reply) == TRESEN_STATUS_INVALID);
    error_has("`with` is not JSON");
    CHECK(tresen_call(till, "till.info", bad, NULL, &reply) == TRESEN_STATUS_INVALID);
    CHECK(tresen_call(till, "till.info", NULL, bad, &reply) == TRESEN_STATUS_INVALID);
    CHECK(tresen_call(till, "till.info", NULL, "", &reply) == TRESEN_STATUS_INVALID);
    CHECK(tresen_call(till, "till.fly", NULL, NULL, &reply) == TRESEN_STATUS_FAILED && reply == NULL);
    error_has("\"kind\":\"unsupported\"");
    CHECK(tresen_call(till, "terminal.pay", "{\"terminal\":\"counter\",\"amuont\":1}", NULL, &reply) ==
          TRESEN_STATUS_FAILED);
    error_has("amuont");
    CHECK(tresen_abort(till, NULL, &found) == TRESEN_STATUS_INVALID);
    CHECK(tresen_abort(till, "nobody", &found) == TRESEN_STATUS_OK && found == 0);
    CHECK(tresen_abort(till, "nobody", NULL) == TRESEN_STATUS_OK);
    CHECK(tresen_on_behalf_of(till, NULL, &none) == TRESEN_STATUS_INVALID && none == 0);
    CHECK(tresen_on_behalf_of(till, "", &none) == TRESEN_STATUS_INVALID);
    CHECK(tresen_with_leases(till, "{}", &none) == TRESEN_STATUS_INVALID);
    CHECK(tresen_follow(till, NULL, &reply) == TRESEN_STATUS_INVALID);
    CHECK(tresen_next_event(till, 0, &reply) == TRESEN_STATUS_INVALID);
    error_has("a follower's is expected");

    wait_ready(till, "{\"device\":{\"class\":\"terminal\",\"name\":\"counter\"}}");
    wait_ready(till, "{\"device\":{\"class\":\"terminal\",\"name\":\"slow\"}}");
    wait_ready(till, "{\"device\":{\"class\":\"printer\",\"name\":\"receipt\"}}");

    /* The same key is the same payment, and the same paper: the test looks at the devices. */
    const char *pay = "{\"terminal\":\"counter\",\"amount\":\"12.50 EUR\"}";
    char *first = call(till, "terminal.pay", pay, "order-17", "\"charged\"");
    char *again = call(till, "terminal.pay", pay, "order-17", "\"charged\"");
    CHECK(strcmp(first, again) == 0);
    tresen_free(first);
    tresen_free(again);
    const char *print = "{\"printer\":\"receipt\",\"content\":{\"v\":1,\"receipt\":{\"items\":["
                        "{\"type\":\"text\",\"text\":\"Gr\xc3\xbc\xc3\x9f Gott\"},{\"type\":\"cut\"}]}}}";
    tresen_free(call(till, "printer.print", print, "receipt-17", "\"printed\""));
    tresen_free(call(till, "printer.print", print, "receipt-17", "\"printed\""));

    /* Events. */
    CHECK(tresen_follow(till, &events, &reply) == TRESEN_STATUS_OK && events != 0);
    CHECK(strstr(reply, "\"devices\"") != NULL);
    tresen_free(reply);
    CHECK(tresen_call(events, "till.info", NULL, NULL, &reply) == TRESEN_STATUS_INVALID);
    tresen_free(call(till, "printer.print", "{\"printer\":\"receipt\",\"content\":{\"v\":1,\"receipt\":{\"items\":[]}}}",
                     "empty-18", "\""));
    int printed = 0;
    while (!printed) {
        CHECK(tresen_next_event(events, 30 * 1000, &reply) == TRESEN_STATUS_OK);
        printed = strstr(reply, "\"printed\"") != NULL && strstr(reply, "empty-18") != NULL;
        tresen_free(reply);
    }
    tresen_status status;
    while ((status = tresen_next_event(events, 0, &reply)) == TRESEN_STATUS_OK) tresen_free(reply);
    CHECK(status == TRESEN_STATUS_TIMEOUT && reply == NULL);
    CHECK(tresen_last_error() == NULL);

    /* A thread that waits hears that its handle was closed. */
    pthread_t waiting;
    CHECK(pthread_create(&waiting, NULL, wait_for_events, &events) == 0);
    usleep(20 * 1000);
    CHECK(tresen_close(events, 0) == TRESEN_STATUS_OK);
    CHECK(pthread_join(waiting, NULL) == 0);
    CHECK(tresen_close(events, 0) == TRESEN_STATUS_INVALID);

    /* A payment is aborted from another thread; a second call under its key is refused. */
    pthread_t paying;
    void *outcome = NULL;
    CHECK(pthread_create(&paying, NULL, pay_slowly, &till) == 0);
    for (found = 0; !found; usleep(1000)) {
        char *serving = NULL;
        CHECK(tresen_call(till, "terminal.serving", "{\"terminal\":\"slow\"}", NULL, &serving) == TRESEN_STATUS_OK);
        if (strstr(serving, "slow-1") != NULL) {
            CHECK(tresen_call(till, "till.info", NULL, "slow-1", &reply) == TRESEN_STATUS_FAILED);
            error_has("\"kind\":\"busy\"");
            CHECK(tresen_abort(till, "slow-1", &found) == TRESEN_STATUS_OK);
        }
        tresen_free(serving);
    }
    CHECK(pthread_join(paying, &outcome) == 0);
    tresen_free(outcome);

    /* Who has the lease, pays; who has lost it, does not. */
    tresen_handle bar = 0, terrace = 0, leased = 0;
    const char *target = "{\"target\":{\"device\":{\"class\":\"terminal\",\"name\":\"counter\"}}}";
    CHECK(tresen_on_behalf_of(till, "bar", &bar) == TRESEN_STATUS_OK);
    CHECK(tresen_on_behalf_of(till, "terrace", &terrace) == TRESEN_STATUS_OK);
    char *grant = call(bar, "lease.acquire", target, NULL, "\"holder\":\"bar\"");
    char *token = strstr(grant, "\"token\":");
    CHECK(token != NULL);
    CHECK(tresen_call(terrace, "terminal.pay", pay, "order-18", &reply) == TRESEN_STATUS_FAILED);
    error_has("bar");
    char leases[200];
    snprintf(leases, sizeof leases, "[{\"target\":{\"device\":{\"class\":\"terminal\",\"name\":\"counter\"}},\"token\":%ld}]",
             strtol(token + strlen("\"token\":"), NULL, 10));
    CHECK(tresen_with_leases(bar, leases, &leased) == TRESEN_STATUS_OK);
    tresen_free(call(leased, "terminal.status", "{\"terminal\":\"counter\"}", NULL, "{"));
    tresen_free(call(bar, "lease.release", target, NULL, "true"));
    CHECK(tresen_call(leased, "terminal.status", "{\"terminal\":\"counter\"}", NULL, &reply) == TRESEN_STATUS_FAILED);
    tresen_free(grant);
    CHECK(tresen_close(terrace, 0) == TRESEN_STATUS_OK);
    CHECK(tresen_close(terrace, 0) == TRESEN_STATUS_INVALID);

    /* Many threads, one handle. */
    pthread_t asking[8];
    for (int i = 0; i < 8; i++) CHECK(pthread_create(&asking[i], NULL, ask_often, &bar) == 0);
    for (int i = 0; i < 8; i++) CHECK(pthread_join(asking[i], NULL) == 0);

    /* Closing takes all with it: what was made of the handle, and a thread that waits. */
    CHECK(tresen_follow(bar, &events, NULL) == TRESEN_STATUS_OK);
    CHECK(pthread_create(&waiting, NULL, wait_for_events, &events) == 0);
    CHECK(tresen_close(till, 5000) == TRESEN_STATUS_OK);
    CHECK(pthread_join(waiting, NULL) == 0);
    CHECK(tresen_close(till, 5000) == TRESEN_STATUS_INVALID);
    CHECK(tresen_call(till, "till.info", NULL, NULL, &reply) == TRESEN_STATUS_INVALID);
    CHECK(tresen_call(bar, "till.info", NULL, NULL, &reply) == TRESEN_STATUS_INVALID);
    CHECK(tresen_close(bar, 0) == TRESEN_STATUS_INVALID);
    error_has("no such handle");

    /* And what was stored is there again. */
    CHECK(tresen_open(args[1], &none) == TRESEN_STATUS_OK && none != till);
    tresen_free(call(none, "terminal.find", "{\"key\":\"order-17\"}", NULL, "\"charged\""));
    CHECK(tresen_close(none, 5000) == TRESEN_STATUS_OK);
    puts("all is well");
    return 0;
}
