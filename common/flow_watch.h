/* flow_watch.h - have the flow files, or upstreams.yaml, changed on disk? Looks at names, sizes and
 * times, follows links (a mounted ConfigMap swaps one), reads nothing; what is no flow file is not
 * looked at. A change counts when two looks in turn see the same, so a file that is being written
 * is waited for. Belongs to one thread. */
#pragma once
#include "common/flow_load.h"

struct flow_watch {
    const struct flow_load_settings *settings; /* borrowed */
    uint64_t loaded, seen;
    unsigned again; /* looks until what is there counts as changed anyway; 0: it does not */
};

enum { FLOW_WATCH_AGAIN = 15 };

/* What is there now counts as loaded. */
void flow_watch_init(struct flow_watch *w, const struct flow_load_settings *settings);
/* Look; call it every second or so. True once per change. */
bool flow_watch_changed(struct flow_watch *w);
/* They are about to be read for another reason: what is there now counts as loaded. */
void flow_watch_mark(struct flow_watch *w);
/* They were read and could not be taken, perhaps only now (a server is away, a topic is still to be
 * made): they count as changed once more after so many looks. */
void flow_watch_again(struct flow_watch *w);
