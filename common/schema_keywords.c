#include <stdio.h>
#include <string.h>

#include "common/finding.h"
#include "common/schema_node.h"

enum {
    NUMBER = 1u << JSON_NUMBER,
    STRING = 1u << JSON_STRING,
    ARRAY = 1u << JSON_ARRAY,
    OBJECT = 1u << JSON_OBJECT,
    ANY = 1u << JSON_NULL | 1u << JSON_BOOL | NUMBER | STRING | ARRAY | OBJECT
};

static const struct schema_keyword keywords[] = {
    {"type", schema_compile_type, schema_check_type, ANY, false},
    {"enum", schema_compile_enum, schema_check_enum, ANY, false},
    {"const", NULL, schema_check_const, ANY, false},
    {"minimum", schema_compile_number, schema_check_minimum, NUMBER, false},
    {"maximum", schema_compile_number, schema_check_maximum, NUMBER, false},
    {"exclusiveMinimum", schema_compile_number, schema_check_above, NUMBER, false},
    {"exclusiveMaximum", schema_compile_number, schema_check_below, NUMBER, false},
    {"multipleOf", schema_compile_multiple, schema_check_multiple, NUMBER, false},
    {"minLength", schema_compile_count, schema_check_min_length, STRING, false},
    {"maxLength", schema_compile_count, schema_check_max_length, STRING, false},
    {"pattern", schema_compile_pattern, schema_check_pattern, STRING, false},
    {"minItems", schema_compile_count, schema_check_min_size, ARRAY, false},
    {"maxItems", schema_compile_count, schema_check_max_size, ARRAY, false},
    {"uniqueItems", schema_compile_bool, schema_check_unique, ARRAY, false},
    {"prefixItems", schema_compile_nodes, schema_check_prefix, ARRAY, false},
    {"items", schema_compile_items, schema_check_items, ARRAY, false},
    {"contains", schema_compile_contains, schema_check_contains, ARRAY, false},
    {"minContains", schema_compile_count, NULL, 0, false},
    {"maxContains", schema_compile_count, NULL, 0, false},
    {"minProperties", schema_compile_count, schema_check_min_size, OBJECT, false},
    {"maxProperties", schema_compile_count, schema_check_max_size, OBJECT, false},
    {"required", schema_compile_names, schema_check_required, OBJECT, false},
    {"properties", schema_compile_map, schema_check_properties, OBJECT, false},
    {"patternProperties", schema_compile_patterns, schema_check_patterns, OBJECT, false},
    {"additionalProperties", schema_compile_node, schema_check_additional, OBJECT, false},
    {"propertyNames", schema_compile_node, schema_check_names, OBJECT, false},
    {"dependentRequired", schema_compile_dependent, schema_check_dependent_required, OBJECT, false},
    {"dependentSchemas", schema_compile_map, schema_check_dependent_schemas, OBJECT, true},
    {"allOf", schema_compile_nodes, schema_check_all, ANY, true},
    {"anyOf", schema_compile_nodes, schema_check_any, ANY, true},
    {"oneOf", schema_compile_nodes, schema_check_one, ANY, true},
    {"not", schema_compile_node, schema_check_not, ANY, true},
    {"if", schema_compile_if, schema_check_if, ANY, true},
    {"then", schema_compile_branch, NULL, 0, false},
    {"else", schema_compile_branch, NULL, 0, false},
    {"$ref", schema_compile_ref, schema_check_ref, ANY, true},
    {"$defs", schema_compile_map, NULL, 0, false},
    {"$schema", schema_compile_dialect, NULL, 0, false},
    {"title", NULL, NULL, 0, false},
    {"description", NULL, NULL, 0, false},
    {"default", NULL, NULL, 0, false},
    {"examples", NULL, NULL, 0, false},
    {"$comment", NULL, NULL, 0, false},
    {"deprecated", NULL, NULL, 0, false},
    {"readOnly", NULL, NULL, 0, false},
    {"writeOnly", NULL, NULL, 0, false},
    {"format", NULL, NULL, 0, false},
};
enum { KEYWORDS = sizeof keywords / sizeof keywords[0] };

/* Known elsewhere, refused here. */
static const struct {
    const char *name, *instead;
} others[] = {
    {"definitions", "write `$defs`"},
    {"additionalItems", "write `prefixItems` for the first elements, `items` for the others"},
    {"dependencies", "write `dependentRequired` or `dependentSchemas`"},
    {"id", "leave it out; a schema has no address here"},
    {"$id", "leave it out; a schema has no address here"},
    {"$anchor", "write `$ref: \"#/$defs/NAME\"`"},
    {"$dynamicRef", "write `$ref`"},
    {"$dynamicAnchor", "write `$defs`"},
    {"$vocabulary", "leave it out"},
    {"unevaluatedProperties", "it is not supported; write `additionalProperties`"},
    {"unevaluatedItems", "it is not supported; write `items`"},
    {"contentEncoding", "it is not supported"},
    {"contentMediaType", "it is not supported"},
    {"contentSchema", "it is not supported"},
};

const struct schema_keyword *schema_keyword_find(const char *name)
{
    for (size_t i = 0; i < KEYWORDS; i++)
        if (strcmp(keywords[i].name, name) == 0)
            return &keywords[i];
    return NULL;
}

void schema_keyword_hint(const char *name, char *hint, size_t size)
{
    const char *names[KEYWORDS], *near;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (strcmp(others[i].name, name) == 0) {
            snprintf(hint, size, "cannot stand here: %s", others[i].instead);
            return;
        }
    }
    for (size_t i = 0; i < KEYWORDS; i++)
        names[i] = keywords[i].name;
    near = nearest_name(name, names, KEYWORDS);
    snprintf(hint, size, "is no keyword%s%s%s", near ? "; did you mean `" : "", near ? near : "",
             near ? "`?" : "");
}
