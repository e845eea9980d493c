/* offpath-gateway: its command line. HTTP comes in through serve.c; read accept.c to follow one
 * request. */
#include "gateway/verbs.h"

int main(int argc, char **argv)
{
    return verb_main(&gateway_program, argc, argv);
}
