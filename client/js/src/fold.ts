import type { Event, EventData, Group, Member } from "./types.js";

/** foldGroup returns the record of a group after an event: the same object if the event does not change it. */
export function foldGroup<A>(group: Group<A>, event: Event): Group<A> {
  const { type, version, at } = event;
  switch (type) {
    case "group.updated": {
      const next: Record<string, unknown> = { ...group, ...(event.data as object), revision: version, updatedAt: at };
      for (const field of ["endsAt", "endedAt", "remindBefore"]) if (next[field] === null) delete next[field];
      return next as Group<A>;
    }
    case "group.ended":
      return { ...group, endedAt: at, revision: version, updatedAt: at };
    case "owner.transferred":
      return {
        ...group,
        ownerId: (event.data as EventData["owner.transferred"]).to ?? "",
        revision: version,
        updatedAt: at,
      };
    default:
      return group;
  }
}

/** foldMembers changes members as an event says, and reports whether it did. */
export function foldMembers(members: Map<string, Member>, event: Event): boolean {
  const data = (event.data ?? {}) as Member & EventData["member.muted"] & EventData["owner.transferred"];
  const { userId } = data;
  const old = members.get(userId);
  switch (event.type) {
    case "member.joined":
    case "member.updated": {
      if (!userId) return false; // an erased user
      members.set(userId, old?.readVersion === undefined ? data : { ...data, readVersion: old.readVersion });
      return true;
    }
    case "member.left":
    case "member.removed":
    case "member.banned":
      return members.delete(userId);
    case "member.muted": {
      if (!old) return false;
      const { mutedUntil: _, ...rest } = old;
      members.set(
        userId,
        data.expiresAt ? { ...rest, muted: true, mutedUntil: data.expiresAt } : { ...rest, muted: true },
      );
      return true;
    }
    case "member.unmuted": {
      if (!old) return false;
      const { muted: _, mutedUntil: __, ...rest } = old;
      members.set(userId, rest);
      return true;
    }
    case "owner.transferred": {
      const from = members.get(data.from ?? "");
      const to = members.get(data.to ?? "");
      if (from) members.set(from.userId, { ...from, role: "admin" });
      if (to) members.set(to.userId, { ...to, role: "owner" });
      return from !== undefined || to !== undefined;
    }
    default:
      return false;
  }
}

/** concernsMembers reports whether foldMembers looks at an event. */
export const concernsMembers = (type: string): boolean => type.startsWith("member.") || type === "owner.transferred";
