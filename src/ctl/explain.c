/*
 * nodecryptorctl explain: the kernel's answer for one flow, the policy's, whether they agree, and
 * what comes back.
 */
#include <getopt.h>
#include <string.h>

#include "basics/log.h"
#include "ctl/explanation.h"
#include "ctl/output.h"
#include "ctl/verbs.h"
#include "store/json.h"

static const struct option long_options[] = {
        {"from", required_argument, NULL, 'f'},
        {"protocol", required_argument, NULL, 'p'},
        {"mark", required_argument, NULL, 'm'},
        {"netns", required_argument, NULL, 'N'},
        {"pid", required_argument, NULL, 'P'},
        {"json", no_argument, NULL, 'j'},
        {"config", required_argument, NULL, 'c'},
        {"node-name", required_argument, NULL, 'n'},
        {"state-directory", required_argument, NULL, 's'},
        {},
};

static int parse_arguments(struct question *q, int argc, char **argv, bool *ret_json)
{
        int option;

        optind = 1;
        while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
                int r = 0;

                switch (option) {
                case 'f': q->source = optarg; break;
                case 'p': q->protocol = optarg; break;
                case 'm': q->mark = optarg; break;
                case 'N': q->netns = optarg; break;
                case 'P': q->pid = optarg; break;
                case 'j': *ret_json = true; break;
                case 'c': r = text_replace(&q->options.config, optarg); break;
                case 'n': r = text_replace(&q->options.node_name, optarg); break;
                case 's': r = text_replace(&q->options.state_directory, optarg); break;
                default: return -EINVAL;
                }
                if (r < 0)
                        return r;
        }
        if (optind + 1 != argc) {
                log_error("explain takes one DESTINATION[:PORT]");
                return -EINVAL;
        }
        q->destination = argv[optind];
        return 0;
}

static int answer(struct question *q, bool as_json)
{
        _cleanup_(json_putp) json_object *explanation = NULL;
        int r = explanation_new(q, &explanation);

        if (r < 0)
                return EXIT_DISAGREE;
        r = as_json ? output_json(explanation)
                    : explanation_print(explanation, q->settings->mode == MODE_OBSERVE);
        if (r < 0)
                log_error("%s", strerror(-r));
        return r >= 0 && explanation_agrees(explanation) ? EXIT_AGREE : EXIT_DISAGREE;
}

int verb_explain(int argc, char **argv)
{
        struct question q;
        bool as_json = false;
        int r, status;

        question_init(&q);
        r = parse_arguments(&q, argc, argv, &as_json);
        if (r >= 0)
                r = question_read(&q);
        if (r >= 0)
                status = answer(&q, as_json);
        else
                status = r == -EINVAL || r == -EBADMSG ? EXIT_USAGE : EXIT_DISAGREE;
        question_deinit(&q);
        return status;
}
