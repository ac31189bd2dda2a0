/* A libnvidia-ml.so.1 without a driver. The file that FAKE_NVML names holds the scenario and a pid: "mixed 4711".
 *
 *   init       the driver is not loaded          mismatch   driver and library differ
 *   none       no card                           mixed      eight cards of four kinds
 *   lost       of two cards the driver does not reach the first
 *   dead       of two cards the second answers nothing but who it is
 *   mig        a divided card, one that is divided into nothing, a whole one
 *   shared     one card that has no memory of its own
 *   busy       one card, with the process of that pid on it, a graphical one and one that is gone
 *   two        two cards, and nobody is on them
 *   held       as two; that process has 11 GiB of the first, which without a pid nobody is known to have
 *   hangs      it never answers                crashes    it ends who asks
 *
 * With -DBARE it is an old driver: of what a card may tell, only its name, its UUID and its memory. With -DNOCOUNT it
 * cannot even count.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int R;
typedef void *D;
enum { OK = 0, INVALID = 2, UNSUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, NO_DRIVER = 9, LOST = 15, MISMATCH = 18 };

static char scenario[32];
static unsigned stranger;

static int is(const char *word) { return !strcmp(scenario, word); }
static int card(D d) { return (int)((long)d % 100) - 1; }
static int instance(D d) { return (int)((long)d / 100); }

static unsigned cards(void) {
  if (is("mixed")) return 8;
  if (is("mig")) return 3;
  if (is("lost") || is("dead") || is("two") || is("held")) return 2;
  return is("none") ? 0 : 1;
}

static R silent(D d) { return is("dead") && card(d) == 1 ? LOST : OK; }

static R copy(char *to, unsigned size, const char *text) {
  if (strlen(text) + 1 > size) return TOO_SMALL;
  strcpy(to, text);
  return OK;
}

R nvmlInitWithFlags(unsigned flags) {
  (void)flags;
  const char *path = getenv("FAKE_NVML");
  FILE *file = path ? fopen(path, "r") : NULL;
  if (!file) return NO_DRIVER;
  int found = fscanf(file, "%31s %u", scenario, &stranger);
  fclose(file);
  if (found < 1 || is("init")) return NO_DRIVER;
  if (is("hangs")) pause();
  if (is("crashes")) abort();
  return is("mismatch") ? MISMATCH : OK;
}

R nvmlShutdown(void) { return OK; }
#ifndef NOCOUNT
R nvmlDeviceGetCount_v2(unsigned *count) { *count = cards(); return OK; }
#endif

R nvmlDeviceGetHandleByIndex_v2(unsigned index, D *d) {
  if (index >= cards()) return INVALID;
  if (is("lost") && index == 0) return LOST;
  *d = (D)(long)(index + 1);
  return OK;
}

static const char *const KINDS[] = {"NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-40GB", "NVIDIA GeForce RTX 4090", "Tesla T4"};
static const unsigned long long GIB[] = {80, 40, 24, 16};
static int kind(D d) { return is("mixed") ? card(d) / 2 : is("mig") ? 1 : 0; }

R nvmlDeviceGetName(D d, char *to, unsigned size) {
  char text[96];
  snprintf(text, sizeof text, "%s%s", KINDS[kind(d)], instance(d) ? " MIG 1g.5gb" : "");
  return copy(to, size, text);
}

R nvmlDeviceGetUUID(D d, char *to, unsigned size) {
  char text[80];
  snprintf(text, sizeof text, "%s-00000000-0000-0000-%04d-%012d", instance(d) ? "MIG" : "GPU", instance(d), card(d));
  return copy(to, size, text);
}

typedef struct { unsigned long long total, unused, used; } Memory;
R nvmlDeviceGetMemoryInfo(D d, Memory *memory) {
  if (silent(d)) return LOST;
  if (is("shared")) return UNSUPPORTED;
  memory->total = instance(d) ? 5ULL << 30 : GIB[kind(d)] << 30;
  int held = is("busy") || (is("held") && card(d) == 0);
  memory->used = held ? 12ULL << 30 : (unsigned long long)card(d) << 30;
  memory->unused = memory->total - memory->used;
  return OK;
}

#ifndef BARE
typedef struct { unsigned gpu, memory; } Load;
R nvmlDeviceGetUtilizationRates(D d, Load *load) {
  if (instance(d)) return UNSUPPORTED;
  load->gpu = 37;
  load->memory = 12;
  return silent(d);
}

R nvmlSystemGetDriverVersion(char *to, unsigned size) { return copy(to, size, "999.01"); }
R nvmlDeviceGetMinorNumber(D d, unsigned *minor) { *minor = (unsigned)card(d); return OK; }
R nvmlDeviceGetTemperature(D d, int sensor, unsigned *celsius) { (void)sensor; *celsius = 41; return silent(d); }
R nvmlDeviceGetPowerUsage(D d, unsigned *milliwatts) { *milliwatts = 71500; return silent(d); }

R nvmlDeviceGetMigMode(D d, unsigned *now, unsigned *later) {
  if (!is("mig")) return UNSUPPORTED;
  *now = *later = card(d) < 2;
  return OK;
}
R nvmlDeviceGetMaxMigDeviceCount(D d, unsigned *count) { (void)d; *count = 7; return OK; }
R nvmlDeviceGetMigDeviceHandleByIndex(D d, unsigned index, D *found) {
  if (card(d) != 0 || (index != 0 && index != 2)) return NOT_FOUND;
  *found = (D)((long)d + 100 * (index + 1));
  return OK;
}

typedef struct { unsigned pid; unsigned long long memory; unsigned instance, compute; } Process;
static R list(const Process *from, unsigned size, unsigned *count, Process *to) {
  unsigned room = *count;
  *count = size;
  if (!size) return OK;
  if (!to || room < size) return TOO_SMALL;
  memcpy(to, from, size * sizeof *from);
  return OK;
}
R nvmlDeviceGetComputeRunningProcesses_v3(D d, unsigned *count, Process *to) {
  const Process all[] = {{stranger, 11ULL << 30, 0, 0}, {999999999, ~0ULL, 0, 0}};
  if (silent(d)) return LOST;
  if (is("held")) return list(all, card(d) == 0 && stranger ? 1 : 0, count, to);
  return list(all, is("busy") && !instance(d) ? 2 : 0, count, to);
}
R nvmlDeviceGetGraphicsRunningProcesses_v2(D d, unsigned *count, Process *to) {
  const Process all[] = {{stranger, 1, 0, 0}, {999999998, 3 << 20, 0, 0}};
  if (silent(d)) return LOST;
  return list(all, is("busy") ? 2 : 0, count, to);
}
#endif
