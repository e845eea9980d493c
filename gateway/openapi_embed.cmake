# openapi_embed.cmake - writes proto/openapi.yaml as C. cmake -DFROM=FILE -DOUT=FILE.c -P gateway/openapi_embed.cmake
file(READ ${FROM} HEX HEX)
string(REGEX REPLACE "(..)" "0x\\1," BYTES "${HEX}")
file(WRITE ${OUT} "#include \"gateway/openapi.h\"\n\nconst char openapi_base[] = {${BYTES}};\nconst size_t openapi_base_len = sizeof openapi_base;\n")
