/*
 * Configuration of the server: defaults < YAML file < environment < flags (DO-001). One table says what exists: every setting has a
 * YAML path, an environment variable and a flag, a type and a range, so that --help, --check-config and the file reader cannot differ.
 */
#ifndef JADE_SERVER_CONFIG_H
#define JADE_SERVER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

enum { JADE_CONFIG_TEXT_MAX = 1024 };

struct jade_config {
    char file[JADE_CONFIG_TEXT_MAX];   /* --config; "" = none */
    char data[JADE_CONFIG_TEXT_MAX];   /* data folder */
    char listen[JADE_CONFIG_TEXT_MAX]; /* HOST:PORT */
    bool insecure;                     /* plain HTTP beyond loopback */
    bool auth_required;
    uint64_t workers, loops, queue; /* HTTP */
    uint64_t max_body_bytes;
    char log_level[16];
    char durability[16];
    uint64_t sync_interval_ms;
    uint64_t seal_mib, tail_soft_mib, tail_hard_mib;
    uint64_t background_threads; /* 0 = one a processor */
    uint64_t idle_close_s;
    bool check_only; /* --check-config */
    bool show_help, show_version;
};

void jade_config_default(struct jade_config *c);
/**
 * Reads flags, file and environment into c in their order of strength, checks every value and their combination.
 * Errors: JADE_E_INVALID_ARGUMENT naming the setting and where it stands (file and line, variable, flag).
 */
jade_code jade_config_load(struct jade_config *c, int argc, char **argv, struct jade_err *err);
/** Host and port of a "HOST:PORT" or "[IPV6]:PORT" text. */
jade_code jade_config_split_listen(const char *listen, char *host, size_t size, uint16_t *port_out,
                                   struct jade_err *err);
/** Whether the host is this machine only: 127.0.0.0/8, ::1, localhost. */
bool jade_config_is_loopback(const char *host);
/** Every setting with flag, variable, YAML path, default. */
void jade_config_help(FILE *out);
/** The values in force as YAML. */
void jade_config_print(const struct jade_config *c, FILE *out);

#endif
