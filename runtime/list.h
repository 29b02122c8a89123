/*
 * List: an intrusive doubly linked ring with a head node.
 *
 * The node is embedded in what is linked; container_of() leads back. A node
 * that is in no list points at itself, so list_remove() is safe to repeat.
 */
#pragma once

#include "runtime/base.h"

/* Private to list.h; embedded by value. */
struct list_node {
    struct list_node *next;
    struct list_node *previous;
};

/* Makes a head empty, or a node unlinked. */
static inline void list_init(struct list_node *node)
{
    node->next = node;
    node->previous = node;
}

/* True for a head without members and for an unlinked node. */
static inline bool list_is_empty(const struct list_node *node)
{
    return node->next == node;
}

/* Links node as the last member. It must be unlinked. */
static inline void list_push_back(struct list_node *head, struct list_node *node)
{
    assert(list_is_empty(node));
    assert(head->previous != NULL);
    node->previous = head->previous;
    node->next = head;
    head->previous->next = node;
    head->previous = node;
}

/* Links node as the first member. It must be unlinked. */
static inline void list_push_front(struct list_node *head, struct list_node *node)
{
    list_push_back(head->next, node);
}

/* Unlinks node; an unlinked node stays as it is. */
static inline void list_remove(struct list_node *node)
{
    node->previous->next = node->next;
    node->next->previous = node->previous;
    list_init(node);
}

/* Unlinks and gives the first member, NULL when there is none. */
static inline struct list_node *list_pop_front(struct list_node *head)
{
    struct list_node *node = head->next;

    if (node == head)
        return NULL;
    list_remove(node);
    return node;
}
