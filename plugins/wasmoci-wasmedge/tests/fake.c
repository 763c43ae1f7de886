/* Plays WasmEdge's part, and writes down each call with its arguments, to the file LOG. */

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef MINOR
#define MINOR 14
#endif
#ifndef VALIDATE
#define VALIDATE 0
#endif
#ifndef INSTANTIATE
#define INSTANTIATE 0
#endif
#ifndef EXECUTE
#define EXECUTE 0
#endif
#ifndef EXIT_CODE
#define EXIT_CODE 0
#endif
#ifndef DURING
#define DURING
#endif

typedef struct { uint32_t Length; const char *Buf; } WasmEdge_String;
typedef struct { uint32_t Code; } WasmEdge_Result;
typedef struct { char text[16]; } Context;

static Context conf = {"conf"}, vm = {"vm"}, wasi = {"wasi"}, stat = {"stat"};

static void record(const char *format, ...) {
  FILE *file = fopen(LOG, "a");
  __builtin_va_list list;
  __builtin_va_start(list, format);
  vfprintf(file, format, list);
  __builtin_va_end(list);
  fclose(file);
}

static void record_strings(const char *const *texts, uint32_t count) {
  record(" [");
  for (uint32_t i = 0; i < count; i++) record(i ? ", %s" : "%s", texts[i]);
  record("]");
}

const char *WasmEdge_VersionGet(void) { return "0." "fake"; }
uint32_t WasmEdge_VersionGetMajor(void) { return 0; }
uint32_t WasmEdge_VersionGetMinor(void) { return MINOR; }
void WasmEdge_LogSetErrorLevel(void) { record("LogSetErrorLevel\n"); }

/* The categories stand in the upper 8 bits; success and termination are both fine. */
bool WasmEdge_ResultOK(const WasmEdge_Result r) { return r.Code == 0 || r.Code == 1; }
uint32_t WasmEdge_ResultGetCode(const WasmEdge_Result r) { return r.Code & 0xffffff; }
const char *WasmEdge_ResultGetMessage(const WasmEdge_Result r) {
  switch (r.Code) {
  case 0: return "success";
  case 1: return "terminated";
  case 3: return "cost limit exceeded";
  case 0x89: return "unreachable";
  default: return "type mismatch";
  }
}

Context *WasmEdge_ConfigureCreate(void) { record("ConfigureCreate\n"); return &conf; }
void WasmEdge_ConfigureDelete(Context *c) { record("ConfigureDelete %s\n", c->text); }
void WasmEdge_ConfigureAddHostRegistration(Context *c, int host) { record("AddHostRegistration %s %d\n", c->text, host); }
void WasmEdge_ConfigureSetMaxMemoryPage(Context *c, uint32_t pages) { record("SetMaxMemoryPage %s %u\n", c->text, pages); }
void WasmEdge_ConfigureStatisticsSetCostMeasuring(Context *c, bool is) { record("SetCostMeasuring %s %d\n", c->text, is); }
#ifndef OLD
void WasmEdge_ConfigureSetForceInterpreter(Context *c, bool is) { record("SetForceInterpreter %s %d\n", c->text, is); }
void WasmEdge_LogOff(void) { record("LogOff\n"); }
#endif

Context *WasmEdge_VMCreate(const Context *c, Context *store) { record("VMCreate %s %p\n", c->text, (void *)store); return &vm; }
void WasmEdge_VMDelete(Context *c) { record("VMDelete %s\n", c->text); }
Context *WasmEdge_VMGetImportModuleContext(Context *c, int host) { record("GetImportModule %s %d\n", c->text, host); return &wasi; }
Context *WasmEdge_VMGetStatisticsContext(Context *c) { record("GetStatistics %s\n", c->text); return &stat; }
void WasmEdge_StatisticsSetCostLimit(Context *c, uint64_t limit) { record("SetCostLimit %s %llu\n", c->text, (unsigned long long)limit); }

void WasmEdge_ModuleInstanceInitWASI(Context *c, const char *const *args, uint32_t arg_len, const char *const *envs,
                                     uint32_t env_len, const char *const *preopens, uint32_t preopen_len) {
  record("InitWASI %s", c->text);
  record_strings(args, arg_len);
  record_strings(envs, env_len);
  record_strings(preopens, preopen_len);
  record("\n");
}
uint32_t WasmEdge_ModuleInstanceWASIGetExitCode(const Context *c) { record("GetExitCode %s\n", c->text); return EXIT_CODE; }

WasmEdge_Result WasmEdge_VMLoadWasmFromFile(Context *c, const char *path) {
  char head[8] = {0};
  FILE *file = fopen(path, "rb");
  record("Load %s %s\n", c->text, file && fread(head, 1, 8, file) == 8 && !memcmp(head, "\0asm\1\0\0", 8) ? "module" : "nothing");
  if (file) fclose(file);
  return (WasmEdge_Result){0};
}
WasmEdge_Result WasmEdge_VMValidate(Context *c) { record("Validate %s\n", c->text); return (WasmEdge_Result){VALIDATE}; }
WasmEdge_Result WasmEdge_VMInstantiate(Context *c) { record("Instantiate %s\n", c->text); return (WasmEdge_Result){INSTANTIATE}; }

WasmEdge_Result WasmEdge_VMExecute(Context *c, const WasmEdge_String name, const void *params, const uint32_t param_len,
                                   void *returns, const uint32_t return_len) {
  record("Execute %s %.*s %p %u %p %u\n", c->text, (int)name.Length, name.Buf, (void *)params, param_len, returns, return_len);
  DURING;
  return (WasmEdge_Result){EXECUTE};
}
