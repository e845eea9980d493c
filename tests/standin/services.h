/* services.h - what the services other than shops answer by themselves: an LLM and a bucket of S3.
 * Like the shops they know their callers only by what comes with a request. Pure; any thread. */
#pragma once
#include "tests/standin/shop.h"

/* POST .../chat/completions with a bearer token: an answer of a chat model whose content is the
 * JSON that the prompt asks for, by the words in it: "question and answer" (pairs), "improvements"
 * (with advice), "questions"; else {"text": ..}. Without a token 401. Appended to out; the status.
 */
int chat_answer(const struct shop_request *q, struct buf *out);

/* PUT with X-Amz-Copy-Source: CopyObject's XML; without it 200 and nothing. What is not signed (AWS
 * Signature V4; the signature itself is not looked into) is a 403. Appended to out; the status. */
int bucket_answer(const struct shop_request *q, struct buf *out);
