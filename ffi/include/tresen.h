#ifndef TRESEN_H
#define TRESEN_H

#include <stdint.h>

// What a function answers. More about what is not TRESEN_STATUS_OK says tresen_last_error().
enum tresen_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Done.
  TRESEN_STATUS_OK = 0,
  // The till refused or failed. tresen_last_error() says what happened, whether it had an effect, and what to do.
  TRESEN_STATUS_FAILED = 1,
  // An argument is wrong: a null pointer, a text that is not UTF-8 or not JSON, a handle that is closed or of the
  // other kind. Nothing has happened.
  TRESEN_STATUS_INVALID = 2,
  // tresen_next_event() only: there was no event in time.
  TRESEN_STATUS_TIMEOUT = 3,
  // tresen_next_event() only: there are no more events, because the till or the follower was closed.
  TRESEN_STATUS_ENDED = 4,
  // A defect of the library. What the call has done is not known; the till of this handle takes no more calls and
  // can only be closed.
  TRESEN_STATUS_PANICKED = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum tresen_status tresen_status;
#else
typedef int32_t tresen_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A till, or a follower of its events. It stands for an object of the library and is no pointer: a handle that was
// closed, or never existed, is refused with TRESEN_STATUS_INVALID, and none is given out twice. 0 is never one.
//
// Every function may be called from any thread, and with the same handle from several at once.
typedef uint64_t tresen_handle;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the library, such as "0.1.0". The text belongs to the library and lives as long as the program.
const char *tresen_version(void);

// Opens the till that the configuration file at `config` (a path in UTF-8) describes, with its devices and its
// database, in this process. Devices that cannot be reached do not prevent it: they connect later.
//
// `till` receives a handle, or 0. Close it with tresen_close(). Blocks until the database is open.
//
// Fails if the file is wrong (the error names line, key and allowed values), if the database cannot be used, or if
// another program has the till open.
//
// # Safety
// `config` is null or ends with a zero byte; `till` is null or can be written.
tresen_status tresen_open(const char *config, tresen_handle *till);

// Connects to a till that runs elsewhere and serves the network: `url` is "wss://HOST:PORT". The same functions then
// work on its handle, with these differences: the station is that of the identity or token, so that
// tresen_on_behalf_of() is refused; rights may be missing; one follower at a time. A connection that is lost is made
// again, and what was not answered is sent again under its key; a till that is away fails a call after 30 s.
//
// `options` is JSON: {"identity":"FOLDER"} with a folder that `tresen join` has made; or {"token":"…"} with a token of
// the till, and `url` "ws://127.0.0.1:PORT", at a till on this machine.
//
// `till` receives a handle, or 0. Close it with tresen_close(). Blocks until the till has greeted, at most about 10 s.
//
// # Safety
// The texts are null or end with a zero byte; `till` is null or can be written.
tresen_status tresen_connect(const char *url,
                             const char *options,
                             tresen_handle *till);

// Another handle of the same till for calls on behalf of a station, such as "handheld 7": its payments, print jobs,
// sales and leases are recorded under that name. Close it with tresen_close(), or together with the till.
//
// `other` receives the handle, or 0. Does not block.
//
// # Safety
// `station` is null or ends with a zero byte; `other` is null or can be written.
tresen_status tresen_on_behalf_of(tresen_handle till, const char *station, tresen_handle *other);

// Another handle of the same till for calls that are refused once a lease has ended. `leases` is a JSON list of their
// keys: [{"target":{"device":{"class":"terminal","name":"bar"}},"token":17}]. Close it with tresen_close(), or together
// with the till.
//
// `other` receives the handle, or 0. Does not block.
//
// # Safety
// `leases` is null or ends with a zero byte; `other` is null or can be written.
tresen_status tresen_with_leases(tresen_handle till, const char *leases, tresen_handle *other);

// Runs a command, and blocks until it is done: each ends by itself, in bounded time. `command` is its name, such as
// "terminal.pay"; `with` its fields as JSON, null for none. Several commands may run at once, each on its own thread.
//
// `key` is chosen by the caller, at most 128 bytes, and null for none. It makes repeating the call safe: the same key is
// the same payment, the same print job; and it names the call to tresen_abort(). At a till in this process it stands in
// for the key that the command itself takes ("key" of payments, "id" of print jobs), and a second call under a key that
// is running is refused. At a till that runs elsewhere, such a call is joined; null makes a new key.
//
// `reply` receives the reply as JSON, or null; the caller owns it and frees it with tresen_free(). A declined card and
// an empty roll of paper are replies, not failures.
//
// # Safety
// The texts are null or end with a zero byte; `reply` is null or can be written.
tresen_status tresen_call(tresen_handle till,
                          const char *command,
                          const char *with,
                          const char *key,
                          char **reply);

// Asks the transaction that runs under `key` to abort, from any thread. It may still succeed: the reply of its own call
// tells. `found` receives 1 if a call with that key is running, else 0; it may be null. A payment that waits for its
// terminal or runs there under a key of its own is aborted with the command "terminal.abort" instead.
//
// # Safety
// `key` is null or ends with a zero byte; `found` is null or can be written.
tresen_status tresen_abort(tresen_handle till, const char *key, int32_t *found);

// Follows the till's events from now on. `events` receives a handle for tresen_next_event(), or 0; close it with
// tresen_close(), or together with the till. `snapshot` receives the state of all devices before the first event, as
// JSON, or null; the caller frees it with tresen_free(). `snapshot` may be null.
//
// A follower that falls a few hundred events behind loses the oldest: their "seq" then has a gap. At a till that
// runs elsewhere, and after a lost connection, {"missed":{"from":…,"to":…}} comes in their place, if need be with the
// "devices" as they are now.
//
// # Safety
// `events` and `snapshot` are null or can be written.
tresen_status tresen_follow(tresen_handle till,
                            tresen_handle *events,
                            char **snapshot);

// Waits for the next event at most `within_ms` milliseconds; 0 takes only one that is there already, and a negative
// time waits until there is one. Each event is given out once: threads that wait with the same handle share the events.
//
// `event` receives the event as JSON, or null; the caller frees it with tresen_free().
//
// Answers TRESEN_STATUS_TIMEOUT if there was none, TRESEN_STATUS_ENDED if there will be none. Closing the handle or the
// till on another thread ends the wait.
//
// # Safety
// `event` is null or can be written.
tresen_status tresen_next_event(tresen_handle events, int64_t within_ms, char **event);

// Closes a handle; it is refused from then on, here as well.
//
// That of tresen_open(): closes the till, and with it all handles that were made of it. What runs is finished within
// about `within_ms` milliseconds, or parked; jobs that wait stay in the database. Calls on other threads return; a device
// that hangs takes 5 s more. That of tresen_connect(): closes the connection; the till goes on, with what it has begun.
// Others: nothing else is closed, and `within_ms` is not used.
//
// A till that is not closed before the program ends has lost nothing: it is opened again as after a loss of power.
tresen_status tresen_close(tresen_handle handle,
                           uint32_t within_ms);

// The error of the last function that this thread has called, as JSON, or null if it did not fail:
// {"kind":"config","effect":"none","retry":"never","device":null,"what":"…","hint":"…","causes":[],"message":"…"}.
// "message" is the whole as a sentence, "effect" is "none", "partial" or "unknown", "hint" the next step.
//
// The caller owns the text and frees it with tresen_free(). Neither of these two functions changes the error. Call it on
// the thread of the failed call: a language that moves its own threads between those of the system has to stay on one.
char *tresen_last_error(void);

// Frees a text that a function of this library has handed over. Null is allowed. A text must be freed once only, and by
// this function only.
//
// # Safety
// `text` is null or comes from this library and was not freed.
void tresen_free(char *text);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* TRESEN_H */
