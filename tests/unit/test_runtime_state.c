/*
 * The daemon's state in /run: what is written is read, who is dead is not believed.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "basics/fileio.h"
#include "service/runtime_state.h"
#include "test.h"

static char folder[] = "/tmp/nodecryptor-runtime.XXXXXX";

static const char *path(const char *name)
{
        static char text[128];

        snprintf(text, sizeof(text), "%s/%s", folder, name);
        return text;
}

static void write_state(const char *text)
{
        CHECK_INT(file_write_atomic(path("state"), text, strlen(text), 0644), 0);
}

static void is_read_as_written(void)
{
        _cleanup_(runtime_state_freep) struct runtime_state *runtime = NULL;
        struct status status = {.state = STATE_DEGRADED, .generation = 7, .observe_only = true};
        struct runtime_view view;

        CHECK_INT(runtime_state_read(folder, &view), -ESRCH);
        CHECK_INT(runtime_state_new(folder, &runtime, NULL), 0);
        CHECK_INT(runtime_state_read(folder, &view), -EAGAIN);
        STATUS_PRINT(status.reason, "a reason\nwith\ta = sign and\nPID=1");
        CHECK_INT(runtime_state_write(runtime, &status), 1);
        CHECK_INT(runtime_state_write(runtime, &status), 0);
        CHECK_INT(runtime_state_read(folder, &view), 0);
        CHECK_INT(view.pid, getpid());
        CHECK_TEXT(view.state, "degraded");
        CHECK_TEXT(view.reason, "a reason with a = sign and PID=1");
        CHECK(view.observe_only && !view.in_sync);
        CHECK_INT(view.generation, 7);
        CHECK_INT(view.reloads, 0);

        status = (struct status){.state = STATE_ENFORCING, .in_sync = true};
        runtime_state_reloaded(runtime, "line 3: no");
        CHECK_INT(runtime_state_write(runtime, &status), 1);
        CHECK_INT(runtime_state_read(folder, &view), 0);
        CHECK(view.in_sync && !view.observe_only);
        CHECK_INT(view.reloads, 1);
        CHECK_TEXT(view.reload_error, "line 3: no");
        runtime_state_reloaded(runtime, NULL);
        CHECK_INT(runtime_state_write(runtime, &status), 1);
        CHECK_INT(runtime_state_read(folder, &view), 0);
        CHECK_INT(view.reloads, 2);
        CHECK_TEXT(view.reload_error, "");
}

static void longest_texts(void)
{
        _cleanup_(runtime_state_freep) struct runtime_state *runtime = NULL;
        struct status status = {.state = STATE_DEGRADED, .generation = UINT64_MAX};
        char refusal[1024];
        struct runtime_view view;

        memset(refusal, 'x', sizeof(refusal));
        refusal[sizeof(refusal) - 1] = '\0';
        memset(status.reason, 'y', sizeof(status.reason) - 1);
        CHECK_INT(runtime_state_new(folder, &runtime, NULL), 0);
        runtime_state_reloaded(runtime, refusal);
        CHECK_INT(runtime_state_write(runtime, &status), 1);
        CHECK_INT(runtime_state_read(folder, &view), 0);
        CHECK_INT(strlen(view.reason), sizeof(status.reason) - 1);
        CHECK_INT(strlen(view.reload_error), sizeof(view.reload_error) - 1);
        CHECK(view.generation == UINT64_MAX);
}

static void one_at_a_time(void)
{
        struct runtime_state *first = NULL, *second = NULL;
        struct error error = {};
        int fd = -1;

        CHECK_INT(runtime_state_new(folder, &first, NULL), 0);
        CHECK_INT(runtime_state_new(folder, &second, &error), -EBUSY);
        CHECK_HAS(error.text, "another nodecryptor");
        CHECK_INT(runtime_lock(folder, &fd), -EBUSY);
        runtime_state_free(first);
        CHECK_INT(runtime_lock(folder, &fd), 0);
        CHECK(fd >= 0);
        CHECK_INT(runtime_state_new(folder, &second, NULL), -EBUSY);
        close(fd);
        CHECK_INT(runtime_lock("/nonexistent/folder", &fd), 0);
        CHECK_INT(fd, -1);
}

/* SIGKILL: nothing is cleaned up but the lock, which is the kernel's. */
static void the_dead_are_not_believed(void)
{
        struct status status = {.state = STATE_ENFORCING, .in_sync = true};
        struct runtime_view view;
        int ends[2];
        char byte;
        pid_t child;

        CHECK(pipe(ends) == 0);
        child = fork();
        CHECK(child >= 0);
        if (child == 0) {
                struct runtime_state *runtime = NULL;

                if (runtime_state_new(folder, &runtime, NULL) < 0 ||
                        runtime_state_write(runtime, &status) < 0 || write(ends[1], "", 1) != 1)
                        _exit(1);
                for (;;)
                        pause();
        }
        CHECK_INT(read(ends[0], &byte, 1), 1);
        CHECK_INT(runtime_state_read(folder, &view), 0);
        CHECK_INT(view.pid, child);
        CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
        CHECK(access(path("state"), F_OK) == 0);
        CHECK_INT(runtime_state_read(folder, &view), -ESRCH);
        close(ends[0]);
        close(ends[1]);
}

static void what_is_no_state(void)
{
        static const char *const bad[] = {
                "",
                "STATE=enforcing\n",
                "PID=1\nSTATE=enforcing\n",
                "PID=-5\nSTATE=enforcing\n",
                "PID=12\n",
                "PID=12\nSTATE=enforcing\nIN_SYNC=2\n",
                "PID=12\nSTATE=enforcing\nIN_SYNC=\n",
                "PID=12\nSTATE=enforcing\nRELOADS=x\n",
                "PID=12\nSTATE=enforcing\nno key\n",
        };
        _cleanup_(runtime_state_freep) struct runtime_state *runtime = NULL;
        struct runtime_view view = {.reloads = 99};

        CHECK_INT(runtime_state_new(folder, &runtime, NULL), 0);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                write_state(bad[i]);
                CHECK_INT(runtime_state_read(folder, &view), -EBADMSG);
        }
        CHECK_INT(view.reloads, 99);
        write_state("PID=12\nSTATE=enforcing\nOF_A_LATER_VERSION=yes\n");
        CHECK_INT(runtime_state_read(folder, &view), 0);
        CHECK_INT(view.pid, 12);
}

static void without_a_folder(void)
{
        _cleanup_(runtime_state_freep) struct runtime_state *runtime = NULL;
        struct status status = {};

        CHECK_INT(runtime_state_new(NULL, &runtime, NULL), 0);
        runtime_state_reloaded(runtime, NULL);
        CHECK_INT(runtime_state_write(runtime, &status), 0);
        CHECK(setenv("RUNTIME_DIRECTORY", "/run/a", 1) == 0);
        CHECK_TEXT(runtime_folder_from_environment(), "/run/a");
        CHECK(setenv("RUNTIME_DIRECTORY", "/run/a:/run/b", 1) == 0);
        CHECK(!runtime_folder_from_environment());
        CHECK(unsetenv("RUNTIME_DIRECTORY") == 0);
        CHECK(!runtime_folder_from_environment());
}

int main(int argc, char **argv)
{
        static const struct test tests[] = {TEST(is_read_as_written), TEST(longest_texts),
                TEST(one_at_a_time), TEST(the_dead_are_not_believed), TEST(what_is_no_state),
                TEST(without_a_folder)};
        int status;

        if (!mkdtemp(folder))
                return EXIT_FAILURE;
        status = test_main(argc, argv, tests, ARRAY_SIZE(tests));
        unlink(path("state"));
        unlink(path("lock"));
        rmdir(folder);
        return status;
}
