/* broker_fake_parts.h - what the two files of broker_fake.h share. Only for them. */
#pragma once
#include "common/broker_fake.h"
#include "common/broker_fake_log.h"
#include <pthread.h>

struct broker_fake {
    pthread_mutex_t lock; /* log, failures, reports */
    const struct clock *clock;
    struct loop *loop;
    struct loop_timer *timer;
    struct fake_log log;
    bool away, hold;
    struct {
        unsigned in; /* operations until it happens; 0: never */
        int how;
    } failures[FAKE_OPS];
    struct fake_producer *producers;
    struct fake_consumer_link *consumers;
};

struct fake_consumer_link { /* the part of a consumer that wakes */
    struct fake_consumer_link *next;
    int fd;
};

/* Something waits for consumers or reports. */
void broker_fake_wake(struct broker_fake *f);
/* Is it this operation's turn to fail? With the lock. */
bool broker_fake_fails(struct broker_fake *f, enum broker_fake_op op, int *how);
