/* Runs Python in interpreters other than the main one, as a program does that embeds Python and serves several applications. */
#include <pthread.h>
#include <stddef.h>

typedef struct _ts PyThreadState;
typedef struct _is PyInterpreterState;
PyThreadState *PyThreadState_Get(void);
PyThreadState *PyThreadState_New(PyInterpreterState *);
PyThreadState *PyThreadState_Swap(PyThreadState *);
PyInterpreterState *PyThreadState_GetInterpreter(PyThreadState *);
PyThreadState *Py_NewInterpreter(void);
void PyEval_RestoreThread(PyThreadState *);
PyThreadState *PyEval_SaveThread(void);
int PyRun_SimpleString(const char *);

/* On the calling thread, which has run the main interpreter before. To be called with the GIL. */
int here(const char *code) {
  PyThreadState *before = PyThreadState_Get();
  Py_NewInterpreter();
  int status = PyRun_SimpleString(code);
  PyThreadState_Swap(before);
  return status;
}

static PyInterpreterState *interpreters[2];
static const char *codes[2];
static int statuses[2];

static void *serve(void *unused) {
  (void)unused;
  for (int i = 0; i < 2; i++) {
    PyThreadState *state = PyThreadState_New(interpreters[i]);
    PyEval_RestoreThread(state);
    statuses[i] = PyRun_SimpleString(codes[i]);
    PyEval_SaveThread();
  }
  return NULL;
}

/* On a thread of the program's own, which serves one interpreter and then another. To be called with the GIL. */
int there(const char *first, const char *second) {
  PyThreadState *before = PyThreadState_Get();
  codes[0] = first;
  codes[1] = second;
  for (int i = 0; i < 2; i++) {
    interpreters[i] = PyThreadState_GetInterpreter(Py_NewInterpreter());
  }
  PyThreadState_Swap(before);
  pthread_t thread;
  before = PyEval_SaveThread();
  pthread_create(&thread, NULL, serve, NULL);
  pthread_join(thread, NULL);
  PyEval_RestoreThread(before);
  return statuses[0] || statuses[1];
}
