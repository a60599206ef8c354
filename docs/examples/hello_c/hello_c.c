/* hello_c: greets, and counts. Needs a C compiler and POSIX.
 *
 *     cc -O2 -o hello_c hello_c.c
 */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LONGEST = 65536 };
static char request[LONGEST];
static volatile sig_atomic_t stopped;

static void stop(int number)
{
    stopped = number;
}

/* Where the value of a field begins. Enough for an interface whose `validation` lets neither
 * quotes nor backslashes in; for anything else use a JSON library. */
static const char *value(const char *name)
{
    char key[64];
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *found = strstr(request, key);
    if (found == NULL)
        return "";
    found += strlen(key);
    return found + strspn(found, " \"");
}

static void word(const char *name, char *into, size_t size)
{
    const char *found = value(name);
    snprintf(into, size, "%.*s", (int)strcspn(found, "\",}"), found);
}

/* Written aside and renamed, so it is there whole or not at all. */
static void reply(int code, const char *message, const char *data)
{
    const char *path = getenv("FLEETJOBS_REPLY");
    char aside[4096];
    snprintf(aside, sizeof aside, "%s.new", path);
    FILE *file = fopen(aside, "w");
    if (file == NULL)
        exit(EXIT_FAILURE);
    fprintf(file, "{\"statuscode\": %d, \"statusmsg\": \"%s\", \"data\": {%s}}\n", code, message, data);
    if (fclose(file) != 0 || rename(aside, path) != 0)
        exit(EXIT_FAILURE);
}

static void progress(long counted, long to)
{
    FILE *file = fopen(getenv("FLEETJOBS_PROGRESS"), "a");
    if (file == NULL)
        return;
    fprintf(file, "{\"percent\": %ld, \"text\": \"at %ld\"}\n", 100 * counted / to, counted);
    fclose(file);
}

static void greet(void)
{
    char name[61], text[512] = "\"text\": \"", message[64];
    long times = strtol(value("times"), NULL, 10);
    if (times < 1 || times > 5) {
        snprintf(message, sizeof message, "times is 1 to 5, not %ld", times);
        reply(4, message, ""); /* 4: the caller's mistake; not tried again */
        return;
    }
    word("name", name, sizeof name);
    for (long done = 0; done < times; done++) {
        size_t length = strlen(text);
        snprintf(text + length, sizeof text - length, "%sHello %s!", done ? " " : "", name);
    }
    strcat(text, "\"");
    reply(0, "OK", text);
}

/* SIGTERM: cancelled, or over its time. There are ten seconds to clean up and to say how far. */
static int count(void)
{
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    long counted = 0, to = strtol(value("to"), NULL, 10);
    char data[64], message[64];
    while (!stopped && counted < to) {
        nanosleep(&(struct timespec){.tv_nsec = 100 * 1000 * 1000}, NULL);
        if (stopped)
            break;
        counted++;
        printf("%ld\n", counted); /* goes to the run's log, as does standard error */
        fflush(stdout);
        progress(counted, to);
    }
    snprintf(data, sizeof data, "\"counted\": %ld", counted);
    snprintf(message, sizeof message, "stopped at %ld", counted);
    reply(stopped ? 1 : 0, stopped ? message : "OK", data);
    return stopped ? 128 + stopped : EXIT_SUCCESS;
}

int main(void)
{
    char action[64];
    FILE *file = fopen(getenv("FLEETJOBS_REQUEST"), "r");
    if (file == NULL) {
        perror("no request");
        return EXIT_FAILURE;
    }
    request[fread(request, 1, sizeof request - 1, file)] = '\0';
    fclose(file);
    word("action", action, sizeof action);
    if (strcmp(action, "greet") == 0)
        greet();
    else if (strcmp(action, "count") == 0)
        return count();
    else
        reply(2, "no such action", "");
    return EXIT_SUCCESS;
}
