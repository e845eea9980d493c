#include "tests/standin/services.h"

#include <string.h>

static const struct {
    const char *word, *content; /* the first word that the body holds */
} contents[] = {
    {"question and answer",
     "{\"questions\":[{\"question\":\"What broke first?\",\"answer\":\"The shared table.\"},"
     "{\"question\":\"What would you do again?\",\"answer\":\"Measure before.\"}]}"},
    {"improvements", "{\"improvements\":[\"Name the outcome.\",\"Give a number.\"],"
                     "\"advice\":\"Say what changed because of you.\"}"},
    {"questions", "{\"questions\":[\"Why this job?\",\"What did you learn?\",\"What is next?\"]}"},
    {"", "{\"text\":\"The stand-in has read it.\"}"},
};

static const char *content_for(const char *body)
{
    size_t i = 0;
    while (!strstr(body, contents[i].word)) /* the last fits all */
        i++;
    return contents[i].content;
}

int chat_answer(const struct shop_request *q, struct buf *out)
{
    size_t len = strcspn(q->path, "?");
    static const char end[] = "/chat/completions";
    bool known = len >= sizeof end - 1 &&
                 strncmp(q->path + len - (sizeof end - 1), end, sizeof end - 1) == 0;
    if (!known || strcmp(q->method, "POST") != 0) {
        buf_text(out, "{\"error\":{\"message\":\"POST /chat/completions is all I know\"}}");
        return 404;
    }
    if (!strcasestr(q->headers, "\"authorization\":\"Bearer ")) {
        buf_text(out, "{\"error\":{\"message\":\"no API key\",\"code\":\"invalid_api_key\"}}");
        return 401;
    }
    const char *content = content_for(q->body);
    buf_text(out, "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"model\":\"stand-in\","
                  "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
    json_text(content, strlen(content), out);
    buf_text(out,
             "},\"finish_reason\":\"stop\"}],"
             "\"usage\":{\"prompt_tokens\":60,\"completion_tokens\":40,\"total_tokens\":100}}");
    return 200;
}
