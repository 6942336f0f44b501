/* The kind `valence`: how pleasant are the words of a caption? The mean over a small lexicon, from -1 to 1.
 *
 *     cc -O2 -fPIC -shared -I ../../include valence.c -o libvalence.so
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "affectflow.h"

static const struct {
  const char *word;
  float valence;
} LEXICON[] = {
  {"angry", -0.8f}, {"anger", -0.8f}, {"cry", -0.7f}, {"crying", -0.7f}, {"disgust", -0.8f}, {"disgusted", -0.8f},
  {"fear", -0.7f}, {"frown", -0.5f}, {"frowning", -0.5f}, {"grin", 0.7f}, {"happy", 0.9f}, {"joy", 0.9f},
  {"laugh", 0.9f}, {"laughing", 0.9f}, {"love", 0.9f}, {"sad", -0.8f}, {"scared", -0.7f}, {"smile", 0.8f},
  {"smiling", 0.8f}, {"surprise", 0.2f}, {"surprised", 0.2f}, {"tear", -0.6f}, {"tears", -0.6f},
};

static const char MANIFESTS[] =
  "[{\"kind\": \"valence\", \"version\": 1, \"summary\": \"How pleasant are the words of a caption?\","
  " \"reads\": [{\"name\": \"caption\", \"type\": \"utf8\"}],"
  " \"adds\": [{\"name\": \"valence\", \"type\": \"float32\","
  " \"about\": \"mean over the words that a small lexicon knows, from -1 to 1; null where it knows none\"}]}]";

static const char *manifests(void) { return MANIFESTS; }

/* There are no options, and nothing to keep: any pointer that is not null is a worker. */
static int32_t open_stage(const char *kind, const char *options, const struct affectflow_call *call, void **worker) {
  (void)kind;
  (void)options;
  (void)call;
  *worker = (void *)&LEXICON;
  return 0;
}

static void close_stage(void *worker) { (void)worker; }

/* The mean over the known words; false where there is none. */
static int valence_of(const char *text, size_t length, float *valence) {
  float sum = 0;
  int known = 0;
  size_t at = 0;
  while (at < length) {
    char word[32];
    size_t letters = 0;
    for (; at < length && isalpha((unsigned char)text[at]); at++) {
      if (letters < sizeof word - 1) word[letters++] = (char)tolower((unsigned char)text[at]);
    }
    word[letters] = 0;
    for (size_t i = 0; letters > 0 && i < sizeof LEXICON / sizeof *LEXICON; i++) {
      if (strcmp(word, LEXICON[i].word) == 0) {
        sum += LEXICON[i].valence;
        known++;
      }
    }
    at++;
  }
  *valence = known > 0 ? sum / (float)known : 0;
  return known > 0;
}

/* Everything that the answer owns, freed together. */
struct answer {
  struct ArrowArray child;
  struct ArrowArray *children[1];
  const void *buffers[1];
  const void *child_buffers[2];
  float *values;
  uint8_t *valid;
};

static void release_child(struct ArrowArray *array) { array->release = NULL; }

static void release_answer(struct ArrowArray *array) {
  struct answer *answer = array->private_data;
  free(answer->values);
  free(answer->valid);
  free(answer);
  array->release = NULL;
}

static void release_static(struct ArrowSchema *schema) { schema->release = NULL; }

static void release_schema(struct ArrowSchema *schema) {
  free(schema->private_data);
  schema->release = NULL;
}

struct described {
  struct ArrowSchema child;
  struct ArrowSchema *children[1];
};

static int32_t out_of_memory(const struct affectflow_call *call) {
  static const char TEXT[] = "out of memory";
  call->fail(call->host, -1, TEXT, sizeof TEXT - 1);
  return 1;
}

static int32_t compute(void *worker, struct ArrowArray *rows, struct ArrowSchema *schema,
                       const struct affectflow_call *call, struct ArrowArray *out, struct ArrowSchema *out_schema) {
  (void)worker;
  (void)schema;
  const struct ArrowArray *caption = rows->children[1];
  const uint8_t *present = caption->buffers[0];
  const int32_t *offsets = caption->buffers[1];
  const char *text = caption->buffers[2];
  const int64_t length = rows->length, from = rows->offset + caption->offset;

  struct answer *answer = calloc(1, sizeof *answer);
  struct described *described = calloc(1, sizeof *described);
  if (answer) {
    answer->values = calloc(length > 0 ? (size_t)length : 1, sizeof(float));
    answer->valid = calloc((size_t)length / 8 + 1, 1);
  }
  if (!answer || !described || !answer->values || !answer->valid) {
    if (answer) {
      free(answer->values);
      free(answer->valid);
    }
    free(answer);
    free(described);
    return out_of_memory(call);
  }

  int64_t nulls = 0;
  for (int64_t row = 0; row < length; row++) {
    const int64_t at = from + row;
    const int there = !present || (present[at / 8] >> (at % 8) & 1);
    if (there && valence_of(text + offsets[at], (size_t)(offsets[at + 1] - offsets[at]), &answer->values[row])) {
      answer->valid[row / 8] |= (uint8_t)(1u << (row % 8));
    } else {
      nulls++;
    }
  }

  answer->child_buffers[0] = answer->valid;
  answer->child_buffers[1] = answer->values;
  answer->child = (struct ArrowArray){
    .length = length, .null_count = nulls, .n_buffers = 2, .buffers = answer->child_buffers, .release = release_child};
  answer->children[0] = &answer->child;
  *out = (struct ArrowArray){
    .length = length, .n_buffers = 1, .n_children = 1, .buffers = answer->buffers, .children = answer->children,
    .release = release_answer, .private_data = answer};
  /* Bit 2 of the flags: nullable. */
  described->child = (struct ArrowSchema){.format = "f", .name = "valence", .flags = 2, .release = release_static};
  described->children[0] = &described->child;
  *out_schema = (struct ArrowSchema){
    .format = "+s", .name = "", .n_children = 1, .children = described->children,
    .release = release_schema, .private_data = described};
  return 0;
}

const struct affectflow_plugin *affectflow_plugin(void) {
  static const struct affectflow_plugin PLUGIN = {
    .magic = AFFECTFLOW_MAGIC,
    .contract_min = AFFECTFLOW_CONTRACT_MIN,
    .contract_max = AFFECTFLOW_CONTRACT_MAX,
    .layout = AFFECTFLOW_LAYOUT,
    .manifests = manifests,
    .open = open_stage,
    .compute = compute,
    .close = close_stage,
  };
  return &PLUGIN;
}
