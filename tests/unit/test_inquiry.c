/* SPDX-License-Identifier: MIT */
/* Questions to a broker made for the test: one that does not keep to what is known of RabbitMQ. (What RabbitMQ answers
 * is looked at by tests/integration/test_check.py.) */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "broker/inquiry.h"
#include "check_main.h"
#include "fake_broker.h"

static struct fake_broker fake;
static struct config_address address;
static struct config_broker broker;
static struct inquiry *inquiry;
static struct inquiry_answer answer;

static void begin(void) {
	fake = (struct fake_broker){0};
	address = (struct config_address){.host = (char *)"127.0.0.1",
					  .vhost = (char *)"/",
					  .username = (char *)"guest",
					  .password = (char *)"guest"};
	broker = (struct config_broker){.name = (char *)"main",
					.addresses = &address,
					.n_addresses = 1,
					.heartbeat = 30,
					.connect_timeout_usec = 30 * USEC_PER_SEC};
	inquiry = NULL;
}

static void end(void) {
	inquiry = inquiry_free(inquiry);
	if (fake.port)
		fake_stop(&fake);
}

static void open_it(const char *product) {
	fake.product = product;
	fake_start(&fake);
	address.port = fake.port;
	ck_assert_int_eq(inquiry_open(&broker, 0, &inquiry, &answer), 0);
}

START_TEST(what_is_there_is_told) {
	fake.missing_queue_once = true;
	fake.refused_queue = "other";
	fake.channel_max = 12;
	open_it("Some\nBroker");
	ck_assert_str_eq(inquiry_facts(inquiry).product, "Some\\nBroker");
	ck_assert_str_eq(inquiry_facts(inquiry).version, "");
	ck_assert_uint_eq(inquiry_facts(inquiry).channel_max, 12);
	ck_assert_int_eq(inquiry_queue(inquiry, "work", &answer), 0);
	ck_assert_uint_eq(answer.code, 404);
	ck_assert_ptr_nonnull(strstr(answer.reason, "no queue 'work'"));
	/* On a new channel. */
	ck_assert_int_eq(inquiry_queue(inquiry, "work", &answer), 0);
	ck_assert_uint_eq(answer.code, 0);
	ck_assert_int_eq(inquiry_exchange(inquiry, "logs", &answer), 0);
	ck_assert_uint_eq(answer.code, 0);
	ck_assert_int_eq(inquiry_same_queue(
				 inquiry, &(struct config_queue){.name = (char *)"other", .declare = {.present = true}},
				 &answer),
			 0);
	ck_assert_uint_eq(answer.code, 406);
	ck_assert_uint_eq(atomic_load(&fake.opens), 2);
}
END_TEST

START_TEST(only_rabbitmq_is_asked_for_permissions) {
	const struct config_binding b = {.exchange = (char *)"logs", .exchange_type = (char *)"topic"};
	const struct config_queue q = {.name = (char *)"work"};
	const struct inquiry_delay d = {"work.retry.1", USEC_PER_SEC, CONFIG_QUEUE_CLASSIC, "work"};

	open_it("Another broker");
	ck_assert_int_eq(inquiry_may_consume(inquiry, "work", &answer), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(answer.reason, "RabbitMQ"));
	ck_assert_int_eq(inquiry_may_declare_queue(inquiry, &q, &answer), -ENOTSUP);
	ck_assert_int_eq(inquiry_may_declare_exchange(inquiry, &b, &answer), -ENOTSUP);
	ck_assert_int_eq(inquiry_may_declare_delay(inquiry, &d, &answer), -ENOTSUP);
	ck_assert_int_eq(inquiry_may_bind(inquiry, "work", &b, "", &answer), -ENOTSUP);
	ck_assert_int_eq(inquiry_may_publish(inquiry, "logs", "", &answer), -ENOTSUP);
	ck_assert_uint_eq(atomic_load(&fake.declares), 0);
	ck_assert_uint_eq(atomic_load(&fake.delivered), 0);
}
END_TEST

/* Messages that it sends are neither settled nor kept: they go back when the connection ends, which is at once. */
START_TEST(who_takes_what_is_to_be_refused_is_hung_up_on) {
	const struct config_queue q = {.name = (char *)"work"};

	fake.deliveries = 3;
	open_it("RabbitMQ");
	ck_assert_int_eq(inquiry_may_consume(inquiry, "work", &answer), -EPROTO);
	ck_assert_ptr_nonnull(strstr(answer.reason, "should have refused"));
	ck_assert_int_eq(inquiry_may_declare_queue(inquiry, &q, &answer), -EPROTO);
	ck_assert_int_eq(inquiry_queue(inquiry, "work", &answer), 0);
	ck_assert_uint_eq(atomic_load(&fake.connections), 3);
	ck_assert_uint_eq(atomic_load(&fake.settled), 0);
}
END_TEST

START_TEST(no_answer_comes_in_time) {
	broker.connect_timeout_usec = USEC_PER_SEC;
	atomic_store(&fake.hold_declares, true);
	open_it(NULL);
	ck_assert_str_eq(inquiry_facts(inquiry).product, "");
	ck_assert_int_eq(inquiry_queue(inquiry, "work", &answer), -ETIMEDOUT);
	ck_assert_str_eq(answer.reason, "the broker did not answer in time");
	/* It is not waited for again. */
	ck_assert(inquiry_is_broken(inquiry));
	ck_assert_int_eq(inquiry_exchange(inquiry, "logs", &answer), -ENOTCONN);
	ck_assert_uint_eq(atomic_load(&fake.connections), 1);
}
END_TEST

START_TEST(login_is_refused) {
	fake.refuse_login = true;
	fake_start(&fake);
	address.port = fake.port;
	ck_assert_int_eq(inquiry_open(&broker, 0, &inquiry, &answer), -EACCES);
	ck_assert_uint_eq(answer.code, 403);
}
END_TEST

START_TEST(nobody_is_there) {
	fake_start(&fake);
	address.port = fake.port;
	end();
	fake.port = 0;
	ck_assert_int_eq(inquiry_open(&broker, 0, &inquiry, &answer), -ECONNREFUSED);
	ck_assert_uint_eq(answer.code, 0);
	ck_assert_str_ne(answer.reason, "");
}
END_TEST

static void add_cases(Suite *suite) {
	ADD_FIXTURE_CASE(suite, "inquiry", begin, end, what_is_there_is_told, only_rabbitmq_is_asked_for_permissions,
			 who_takes_what_is_to_be_refused_is_hung_up_on, no_answer_comes_in_time, login_is_refused,
			 nobody_is_there);
}

CHECK_MAIN("inquiry", add_cases)
