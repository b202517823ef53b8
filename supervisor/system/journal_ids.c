/* journal_ids.c - MESSAGE_ID of each kind of event. Others search for them: a number never changes
 * and is never given to another kind. New ones: journalctl --new-id128. */
#include <string.h>

#include "base/fd.h"
#include "system/journal.h"

static const struct {
	const char *event, *id;
} ids[] = {
    {"instance-ready", "af9327505d9a4ce88e17fd296d5b72e5"},
    {"instance-stopping", "d33ba85d44c84edea28ca314e8334464"},
    {"instance-stopped", "56c9844d215b4152ae33f9f3f1fdb9c0"},
    {"out-of-service", "0d44b04c069144229a128bbb473c0e83"},
    {"reload-queued", "32853a9cd08845c5ab394a0a988eeb6e"},
    {"reload-started", "d01d2941874a485187b47b6a36c21893"},
    {"rollout-batch", "06b06dac2e3c41d99389640064c52fb2"},
    {"canary-serving", "b7956c12f0ac4ba6ae21004d647c0d76"},
    {"canary-good", "6343034154f84f67903eba75c456f242"},
    {"reload-held", "8eb0c9dabd5d48f5ad683d35a789cd76"},
    {"reload-promoted", "a8473821b3bc4b13ac5cb7f9d684a156"},
    {"reload-aborted", "5ac62a7a01704099aab09efb11a9e7c6"},
    {"reload-committed", "8020f93346114c9f8098d8d466ce2b08"},
    {"reload-failed", "2acdc32736604492bbe149b049ec71d6"},
    {"reload-drained", "ae54440426c640599253f392708117f5"},
    {"worker-started", "7e0c5432efe0498285c2aa7de7077cff"},
    {"worker-start-failed", "0745a00ca414475b979567cbf4a1104d"},
    {"worker-ready", "a3da50c8833a46fcb59887e6c931aba0"},
    {"worker-status", "0ae1aac76cad42d49add0a8966414110"},
    {"worker-draining", "47a705d9f3264b95b26495be8c2cb6a4"},
    {"worker-dumping", "9271dfb3242642be83bdb0e7e43f1e69"},
    {"worker-killed", "e679004fa9a0414f8fc6254d5162bc43"},
    {"worker-exited", "c32549eb626340bd841e773aa7a4d79d"},
    {"worker-crashed", "485a2b8050284b52920d368de2fbb146"},
    {"worker-oom", "6773476e6ccd4d3f8dd40f2083879ac9"},
    {"worker-incident", "2c4745310c0e446e8870e48c89fab422"},
    {"version-failed", "630bda796374447f94bfc3c37b6f541d"},
    {"version-overwritten", "8b653def836441589b32c21effbc7554"},
    {"crash-loop", "dab2e23c98fe44d9aa706e630ccced34"},
    {"slot-empty", "b77de2f29b984926aab4f7cf0f31bd36"},
    {"pool-gone", "361e4a5a1f3c43c6b242e193d30e2418"},
    {"orphan-killed", "e9f5b0be850549a6bd16272d944176c6"},
    {"socket-opened", "d98842e12e6a45128037dadc4804fa01"},
    {"socket-closed", "a718b17fd28b4b7bbed2be23b27e84d0"},
    {"socket-dead", "5e179c0386a34f22b6bfd3f82d665003"},
    {"socket-mended", "5f53b194b694477281bb8e65af742213"},
    {"socket-file-restored", "fb5cd01280844351851332229868954f"},
    {"socket-file-lost", "aec5cdead9fa43968421a04addc70a12"},
    {"socket-given", "f187027685d94205858167c40f9a277b"},
    {"socket-returned", "7ef2c216f27a4c99852c19bbc1300932"},
    {"socket-ours", "602ee2ad6854408ea6969c5395d7342f"},
};

const char *journal_message_id(const char *event)
{
	for (size_t i = 0; event != NULL && i < ARRAY_LEN(ids); i++)
		if (strcmp(ids[i].event, event) == 0)
			return ids[i].id;
	return NULL;
}

const char *journal_event(size_t i)
{
	return i < ARRAY_LEN(ids) ? ids[i].event : NULL;
}
