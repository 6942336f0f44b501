/* Stages for affectflow in C and C++, as shared libraries.
 *
 * A library exports one function,
 *
 *     const struct affectflow_plugin *affectflow_plugin(void);
 *
 * which gives a table of functions that lives as long as the library. The program checks `magic`, the versions of the
 * contract and `layout` before it calls anything. What a plugin says of its kinds is JSON: see PROTOCOL.md.
 *
 * Rows cross by the Arrow C Data Interface, without copying: a struct array whose children are `id` (utf8) and the columns
 * read, in the order of the manifest; the answer is a struct array of the columns added, of the same length. Rows may begin
 * at an offset, of the struct and of each child.
 *
 * A worker is used by one thread at a time, not always the same. No exception may leave a function: in C++ use
 * affectflow_guarded below.
 */
#ifndef AFFECTFLOW_H
#define AFFECTFLOW_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The structures of the Arrow C Data Interface, as its specification names them. */
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

struct ArrowSchema {
  const char *format;
  const char *name;
  const char *metadata;
  int64_t flags;
  int64_t n_children;
  struct ArrowSchema **children;
  struct ArrowSchema *dictionary;
  void (*release)(struct ArrowSchema *);
  void *private_data;
};

struct ArrowArray {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void **buffers;
  struct ArrowArray **children;
  struct ArrowArray *dictionary;
  void (*release)(struct ArrowArray *);
  void *private_data;
};

#endif

#if defined(_WIN32)
#define AFFECTFLOW_EXPORT __declspec(dllexport)
#else
#define AFFECTFLOW_EXPORT __attribute__((visibility("default")))
#endif

/* What a plugin can tell during one call. Texts are UTF-8 with their length in bytes; they are copied. */
struct affectflow_call {
  void *host;
  /* A row failed and goes to quarantine; with row -1: why this function returns other than zero. */
  void (*fail)(void *host, int64_t row, const char *text, size_t length);
  /* Something that stops nothing. */
  void (*warn)(void *host, const char *text, size_t length);
  /* How far the work is; `total` is 0 where it is not known. */
  void (*progress)(void *host, uint64_t done, uint64_t total, const char *unit, size_t length);
  /* Other than zero once the user has asked to stop: return soon. */
  int32_t (*stopped)(void *host);
};

struct affectflow_plugin {
  uint64_t magic;
  uint32_t contract_min;
  uint32_t contract_max;
  uint64_t layout;
  /* The manifests of the kinds: a JSON array that lives as long as the library. */
  const char *(*manifests)(void);
  /* Opens a stage with complete options (JSON). Zero, and `*worker` set; or other than zero, and `call->fail` told why. */
  int32_t (*open)(const char *kind, const char *options, const struct affectflow_call *call, void **worker);
  /* Computes. The rows belong to the caller and live until the function returns. `out` and `out_schema` are filled on
   * success, and released by the caller. */
  int32_t (*compute)(void *worker, struct ArrowArray *rows, struct ArrowSchema *schema,
                     const struct affectflow_call *call, struct ArrowArray *out, struct ArrowSchema *out_schema);
  /* Ends a stage. */
  void (*close)(void *worker);
};

#define AFFECTFLOW_MAGIC UINT64_C(0x6c66746365666661)
#define AFFECTFLOW_CONTRACT_MIN 1
#define AFFECTFLOW_CONTRACT_MAX 1

/* Differs where one of the structures is laid out otherwise: 1, and then times 131 plus each of these. */
#define AFFECTFLOW_SUM(sum, part) ((uint64_t)(sum) * UINT64_C(131) + (uint64_t)(part))
#define AFFECTFLOW_LAYOUT_CALL                                                                                  \
  AFFECTFLOW_SUM(AFFECTFLOW_SUM(AFFECTFLOW_SUM(AFFECTFLOW_SUM(AFFECTFLOW_SUM(AFFECTFLOW_SUM(                    \
    AFFECTFLOW_SUM(1, sizeof(void *)), sizeof(size_t)), sizeof(struct ArrowArray)),                             \
    sizeof(struct ArrowSchema)), sizeof(struct affectflow_call)), offsetof(struct affectflow_call, fail)),      \
    offsetof(struct affectflow_call, stopped))
#define AFFECTFLOW_LAYOUT                                                                                       \
  AFFECTFLOW_SUM(AFFECTFLOW_SUM(AFFECTFLOW_SUM(AFFECTFLOW_SUM(AFFECTFLOW_LAYOUT_CALL,                           \
    sizeof(struct affectflow_plugin)), offsetof(struct affectflow_plugin, layout)),                             \
    offsetof(struct affectflow_plugin, manifests)), offsetof(struct affectflow_plugin, close))

AFFECTFLOW_EXPORT const struct affectflow_plugin *affectflow_plugin(void);

#ifdef __cplusplus
}

#include <cstring>
#include <exception>

/* Runs `work` (which returns zero where it succeeded) and turns an exception into the error of the call. */
template <typename Work>
int32_t affectflow_guarded(const affectflow_call *call, Work &&work) noexcept {
  const char *text = "an exception without text";
  try {
    return work();
  } catch (const std::exception &error) {
    call->fail(call->host, -1, error.what(), std::strlen(error.what()));
  } catch (...) {
    call->fail(call->host, -1, text, std::strlen(text));
  }
  return 1;
}
#endif

#endif
