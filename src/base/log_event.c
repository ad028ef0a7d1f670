/* SPDX-License-Identifier: MIT */
#include "base/log_event.h"

/* Random ids, made by systemd-id128(1). One that was released stays with its event for ever. */
static const struct {
	const char *name;
	const char *id;
} log_events[] = {
	[LOG_EVENT_STARTING] = {"starting", "55fe351266cc4c25a226e2091716b4f7"},
	[LOG_EVENT_READY] = {"ready", "ed02e3431b634c698482f700dec37f3e"},
	[LOG_EVENT_STOPPING] = {"stopping", "730ee575934c48eebcb87f97816ebf83"},
	[LOG_EVENT_HANDLERS_STOPPED] = {"handlers-stopped", "d017fa69efd74c1c8e5e88255aa11b60"},
	[LOG_EVENT_STOPPED] = {"stopped", "2f429ba3ea0c4c96a8230d9a2ef6c639"},
	[LOG_EVENT_GUARD_GONE] = {"guard-gone", "cbcec66a7a4e4eb288f1d43b6cc3e326"},
	[LOG_EVENT_INTERNAL_ERROR] = {"internal-error", "5e7450b5f58e49b8bb9b338c3b851aae"},
	[LOG_EVENT_LOG_SUPPRESSED] = {"log-suppressed", "e7016c39fa5c4d1f858a1205156c7a52"},
	[LOG_EVENT_CONFIGURATION_REFUSED] = {"configuration-refused", "fe7e6a00fc2643a88583801d691a1b62"},
	[LOG_EVENT_CONFIGURATION_WARNING] = {"configuration-warning", "bb4d2db9492345b88118af157b5dcc73"},
	[LOG_EVENT_RELOAD_BEGUN] = {"reload-begun", "e7ac1f739c5a486180d1be7c8074a453"},
	[LOG_EVENT_RELOADED] = {"reloaded", "471fe6d3d6bd4d4db2cf8cb233296914"},
	[LOG_EVENT_RELOAD_REFUSED] = {"reload-refused", "86abed773498407590ee1f75f3e87386"},
	[LOG_EVENT_QUEUE_ADDED] = {"queue-added", "7c47af53029241209c15060fe0853b85"},
	[LOG_EVENT_QUEUE_REMOVED] = {"queue-removed", "12437aa87a8741e9b497675f98033539"},
	[LOG_EVENT_QUEUE_CHANGED] = {"queue-changed", "1224285cf82f4b03acf06448d44c6a13"},
	[LOG_EVENT_CONTROL_LISTENING] = {"control-listening", "74ad14473f5d43db98a5d79f7818c655"},
	[LOG_EVENT_CONTROL_REFUSED] = {"control-refused", "74ce7e1a1e1643d5985eb9b60a41d289"},
	[LOG_EVENT_BROKER_CONNECTED] = {"broker-connected", "f3229d8db82b4cbfb97b650ab359c5aa"},
	[LOG_EVENT_BROKER_LOST] = {"broker-lost", "4625b71a55c547d2989f9d5004949869"},
	[LOG_EVENT_BROKER_UNREACHABLE] = {"broker-unreachable", "389920ed69fc4815a08a3a7054531f06"},
	[LOG_EVENT_BROKER_REFUSED_LOGIN] = {"broker-refused-login", "a67f56ccf99f4dc8925d64919cacf111"},
	[LOG_EVENT_BROKER_BLOCKED] = {"broker-blocked", "30c6252f5ad84811880694dff899ac0d"},
	[LOG_EVENT_BROKER_UNBLOCKED] = {"broker-unblocked", "6a3cdc6ab9394ad283c49717aa9b2dae"},
	[LOG_EVENT_BROKER_THREAD_STUCK] = {"broker-thread-stuck", "96778f664bca4a0ebd6e0e806c7933ca"},
	[LOG_EVENT_BROKER_NOT_CLOSED] = {"broker-not-closed", "d784756112ff41e6a540298a38d81579"},
	[LOG_EVENT_QUEUE_CONSUMING] = {"queue-consuming", "973e2c66bbd84a0fa523b6f7157063ef"},
	[LOG_EVENT_QUEUE_DEGRADED] = {"queue-degraded", "bddfa2c7d9494cb0be1132f62133a329"},
	[LOG_EVENT_QUEUE_PAUSED_HANDLER] = {"queue-paused-handler", "f81b2682cb2c497c89fdbb4200b1d55c"},
	[LOG_EVENT_QUEUE_PAUSED_BREAKER] = {"queue-paused-breaker", "c0406b112340463797d9d354c4bc4b4a"},
	[LOG_EVENT_QUEUE_PAUSED_OPERATOR] = {"queue-paused-operator", "dd04de866b6c4d6d8f494812206ef1e5"},
	[LOG_EVENT_QUEUE_PROBING] = {"queue-probing", "e26c997a2aa4428b95c5c8edc1d3e792"},
	[LOG_EVENT_QUEUE_RESUMED] = {"queue-resumed", "b62c9690c8294631ac867e0a4dc7f4ba"},
	[LOG_EVENT_CHANNEL_LOST] = {"channel-lost", "ebe1b38124d749c793a5bae1f57e944f"},
	[LOG_EVENT_MESSAGE_ACKED] = {"message-acked", "e4af70e0864d465ab4d106541ee908a3"},
	[LOG_EVENT_MESSAGE_REQUEUED] = {"message-requeued", "94d7069962274a14b7be59ce7cecb676"},
	[LOG_EVENT_MESSAGE_RETRIED] = {"message-retried", "f31d711614454f189f25bc521865b259"},
	[LOG_EVENT_MESSAGE_REJECTED] = {"message-rejected", "2b65d86e51454373921114c4fe3c1695"},
	[LOG_EVENT_MESSAGE_RETURNED] = {"message-returned", "cedb0e9ff56049cdafe03c5dedb33771"},
	[LOG_EVENT_MESSAGE_REFUSED] = {"message-refused", "2a2cb06a9f5a478e8ac5bb221b94a75a"},
	[LOG_EVENT_MESSAGE_UNSETTLED] = {"message-unsettled", "89b0b63f6f1f45538f179755d0d463e3"},
	[LOG_EVENT_MESSAGE_RECOGNIZED] = {"message-recognized", "7e2e3d5077014ea9b28c7968934cec1a"},
	[LOG_EVENT_PUBLICATION_FAILED] = {"publication-failed", "9721ac185edf415f94e060797deb72cf"},
	[LOG_EVENT_HANDLER_OUTPUT] = {"handler-output", "6e71069d42d145a48f1ac71efebd1c82"},
	[LOG_EVENT_HANDLER_ENVIRONMENT_OMITTED] = {"handler-environment-omitted", "49e76e6a50ad42d9b64374a9012424d6"},
	[LOG_EVENT_HANDLER_KILLED] = {"handler-killed", "e5cd05098368439499f1e82c1be6c49a"},
	[LOG_EVENT_HANDLER_UNSTOPPED] = {"handler-unstopped", "03c07b3f58d3483b88e3441778130815"},
	[LOG_EVENT_HANDLERS_UNCONFINED] = {"handlers-unconfined", "46ec8c18c2f04930ba64df0e7bff99d0"},
	[LOG_EVENT_HANDLERS_CONFINED] = {"handlers-confined", "b73f9e431ccb47a8a0d26f29c0c3c14f"},
	[LOG_EVENT_WORKER_ENDED] = {"worker-ended", "db616fe386f44d919438c6ac0b49c97d"},
	[LOG_EVENT_WORKERS_FAILING] = {"workers-failing", "e2af9052d56646e6bcaa9410780606fa"},
	[LOG_EVENT_WORKERS_RECOVERED] = {"workers-recovered", "3d0b31c1a71e4c9189734b32ee2ce65d"},
};

const char *log_event_id(enum log_event event) {
	return log_events[event].id;
}

const char *log_event_to_string(enum log_event event) {
	return log_events[event].name;
}
