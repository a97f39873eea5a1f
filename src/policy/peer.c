#include "policy/peer.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

const char *peer_key_format(
        const uint8_t key[static PEER_KEY_SIZE], char buffer[static PEER_KEY_TEXT_MAX])
{
        char *to = buffer;

        for (size_t i = 0; i < PEER_KEY_SIZE; i += 3) {
                /* The 32 bytes end in a group of two. */
                unsigned third = i + 2 < PEER_KEY_SIZE ? key[i + 2] : 0;
                unsigned group = (unsigned)key[i] << 16 | (unsigned)key[i + 1] << 8 | third;

                for (int shift = 18; shift >= 0; shift -= 6)
                        *to++ = alphabet[group >> shift & 63];
        }
        to[-1] = '=';
        *to = '\0';
        return buffer;
}
