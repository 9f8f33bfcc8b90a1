// What the agent's parts share. Theory in agent.c (secrets, exec) and host.c (questions to hark outside).
#ifndef HARK_AGENT_H
#define HARK_AGENT_H

#define EXPORT __attribute__((visibility("default")))

// The function of that name that the program would call without the agent; NULL where there is none.
void *behind(const char *name);

#endif
