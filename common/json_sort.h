/* json_sort.h - the members of an object in the order of their names: what makes comparing large
 * objects cheaper than one look-up per member. Pure; any thread. */
#pragma once
#include "common/json.h"

/* The n members from `first` on (json_first or a later one). Owned (free); the members are lent
 * with their object. NULL without memory. */
const struct json **json_sort_members(const struct json *first, size_t n) must_use;
