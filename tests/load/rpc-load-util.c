/* The clock and numbers: what several files of rpc-load need. */
#include "rpc-load-util.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

int parse_u64(const char *text, uint64_t max, uint64_t *ret)
{
	unsigned long long value;
	char *end;

	/* strtoull() takes "-1" and " 7"; a number from outside is digits and nothing else. */
	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (*end != '\0')
		return -EINVAL;
	if (errno == ERANGE || value > max)
		return -ERANGE;
	*ret = value;
	return 0;
}

int parse_positive(const char *text, double max, double *ret)
{
	double value;
	char *end;

	/* strtod() takes "inf", "nan" and "0x1p4" as well. */
	for (const char *p = text; *p != '\0'; p++)
		if (!isdigit((unsigned char)*p) && *p != '.')
			return -EINVAL;
	value = strtod(text, &end);
	if (end == text || *end != '\0')
		return -EINVAL;
	if (value <= 0 || value > max)
		return -ERANGE;
	*ret = value;
	return 0;
}
