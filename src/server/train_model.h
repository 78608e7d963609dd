/*
 * jadevectordb train-model: makes a version of the embedding model from a corpus, in a data folder that no server has open.
 *
 *   jadevectordb train-model --data DIR --from FILE.jsonl [--corpus NAME]
 *
 * Each line of FILE is a JSON object with a "text". The new version becomes the default of that data folder; vectors that are stored already keep
 * theirs. It is an offline tool since training reads a whole corpus once and happens before anything is stored.
 */
#ifndef JADE_SERVER_TRAIN_MODEL_H
#define JADE_SERVER_TRAIN_MODEL_H

/** argv[0] is "train-model". Returns the exit code of the program: 0 trained, 1 failed, 2 wrong usage. */
int jade_train_model(int argc, char **argv);

#endif
