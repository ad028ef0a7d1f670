# shellcheck shell=sh
# SPDX-License-Identifier: MIT
# For the handlers of the demo: $body is the message; `note LEDGER STATUS` writes down what was done and exits.
begun=$(date +%s.%N)
body=$(cat)
sum=$(printf %s "$body" | sha256sum)

note() {
	printf '%s %s %s %s %s %s %s\n' "$AMQP_QUEUE" "$AMQP_MESSAGE_ID" "${AMQP_ATTEMPT:-?}" "$2" "${sum%% *}" "$begun" \
		"$(date +%s.%N)" >>"$1"
	exit "$2"
}
