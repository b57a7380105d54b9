/* A host that embeds Python: it runs the program that it is given, in the thread that is named, and ends. */
#include <Python.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

static const char *program;

static void *in_a_thread_of_the_host(void *unused) {
    PyGILState_STATE state = PyGILState_Ensure();
    PyRun_SimpleString(program);
    PyGILState_Release(state);
    return unused;
}

int main(int count, char **arguments) {
    if (count != 4)
        return 2;
    program = arguments[3];
    Py_Initialize();
    if (strcmp(arguments[1], "thread") == 0) {
        pthread_t thread;
        PyThreadState *main_state = PyEval_SaveThread();
        pthread_create(&thread, NULL, in_a_thread_of_the_host, NULL);
        pthread_join(thread, NULL);
        PyEval_RestoreThread(main_state);
    } else {
        PyRun_SimpleString(program);
    }
    if (strcmp(arguments[2], "finalize") == 0)
        return Py_FinalizeEx() < 0 ? 3 : 0;
    if (strcmp(arguments[2], "terminate") == 0)
        raise(SIGTERM); /* with no step of Python in between, as in a host that is at work of its own */
    _exit(4);
}
