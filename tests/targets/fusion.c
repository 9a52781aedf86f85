/*
 * The fusion thread's side: messages are allocated by camera threads and freed here; objects of the
 * fused world live for some messages. The queue and the world are bounded.
 */
#include "perception.h"
#include "ledger.h"

#include <string.h>

#define QUEUE_MAX 64
#define WORLD_MAX 48

struct message {
	struct message *next;
	unsigned int camera;
	size_t detections;
	float *payload; /* owned */
};

struct world_object {
	struct world_object *next;
	float position[3];
	float speed[3];
	unsigned int camera;
};

void fusion_init(struct fusion *fusion)
{
	*fusion = (struct fusion){.tail = &fusion->head};
	pthread_mutex_init(&fusion->lock, NULL);
	pthread_cond_init(&fusion->wake, NULL);
}

SITE static float *message_payload(size_t detections)
{
	float *payload = svc_calloc(detections + 1, 6 * sizeof(*payload));

	for (size_t i = 0; i < detections; i++)
		payload[i * 6] = (float)i;
	return payload;
}

SITE static struct message *message_new(unsigned int camera, size_t detections)
{
	struct message *message = svc_malloc(sizeof(*message));

	*message = (struct message){.camera = camera, .detections = detections};
	message->payload = message_payload(detections);
	return message;
}

static void message_free(struct message *message)
{
	svc_free(message->payload);
	svc_free(message);
}

void fusion_send(struct fusion *fusion, unsigned int camera, size_t detections)
{
	struct message *message = message_new(camera, detections);
	bool taken;

	pthread_mutex_lock(&fusion->lock);
	taken = fusion->length < QUEUE_MAX;
	if (taken) {
		*fusion->tail = message;
		fusion->tail = &message->next;
		fusion->length++;
		pthread_cond_signal(&fusion->wake);
	}
	pthread_mutex_unlock(&fusion->lock);
	if (!taken)
		message_free(message);
}

struct message *fusion_take(struct fusion *fusion, const atomic_bool *closed)
{
	struct message *message = NULL;

	pthread_mutex_lock(&fusion->lock);
	while (!fusion->head && !atomic_load(closed))
		pthread_cond_wait(&fusion->wake, &fusion->lock);
	if (fusion->head && !atomic_load(closed)) {
		message = fusion->head;
		fusion->head = message->next;
		if (!fusion->head)
			fusion->tail = &fusion->head;
		fusion->length--;
	}
	pthread_mutex_unlock(&fusion->lock);
	return message;
}

void fusion_wake(struct fusion *fusion)
{
	pthread_mutex_lock(&fusion->lock);
	pthread_cond_broadcast(&fusion->wake);
	pthread_mutex_unlock(&fusion->lock);
}

SITE static struct world_object *world_object_new(struct world_object *next, const float *at,
						  unsigned int camera)
{
	struct world_object *object = svc_malloc(sizeof(*object));

	*object = (struct world_object){.next = next, .camera = camera};
	memcpy(object->position, at, sizeof(object->position));
	return object;
}

SITE static unsigned char *fusion_grid(const struct message *message)
{
	unsigned char *grid = svc_calloc(32, 32);

	for (size_t i = 0; i < message->detections; i++)
		grid[(size_t)message->payload[i * 6] * 7 % 1024]++;
	return grid;
}

SITE static float *trajectory_grow(float *points, size_t room)
{
	return svc_realloc(points, room * sizeof(*points));
}

static float *trajectory_fit(const struct world_object *objects)
{
	float *points = NULL;
	size_t count = 0, room = 0;

	for (; objects && count < 32; objects = objects->next) {
		if (count == room) {
			room = room ? room * 2 : 4;
			points = trajectory_grow(points, room);
		}
		points[count++] = objects->position[0];
	}
	return points;
}

/* The oldest objects fall off the end of the list. */
static void world_trim(struct fusion *fusion)
{
	struct world_object **at = &fusion->objects, *gone;

	for (size_t i = 0; i < WORLD_MAX && *at; i++)
		at = &(*at)->next;
	gone = *at;
	*at = NULL;
	while (gone) {
		struct world_object *next = gone->next;

		svc_free(gone);
		gone = next;
	}
}

void fusion_handle(struct fusion *fusion, struct message *message)
{
	unsigned char *grid = fusion_grid(message);
	float *points;

	for (size_t i = 0; i < message->detections; i += 2)
		fusion->objects = world_object_new(fusion->objects, &message->payload[i * 6],
						   message->camera);
	points = trajectory_fit(fusion->objects);
	world_trim(fusion);
	svc_free(points);
	svc_free(grid);
	message_free(message);
}
