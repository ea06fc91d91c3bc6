import { ForbiddenException, Injectable, NotFoundException } from "@nestjs/common";
import { randomUUID } from "node:crypto";
import { GroupsGateway } from "./groups.gateway";
import { GroupsStore } from "./groups.store";

@Injectable()
export class GroupsService {
  constructor(
    private readonly store: GroupsStore,
    private readonly gateway: GroupsGateway,
  ) {}

  async create(userId: string, name: string) {
    const id = randomUUID();
    await this.store.create(id, name);
    await this.store.add(id, userId);
    return { id, name };
  }

  async join(userId: string, id: string) {
    if (!(await this.store.exists(id))) throw new NotFoundException();
    if (await this.store.add(id, userId)) this.gateway.tell(id, "member.joined", { userId });
    return { userId };
  }

  async post(userId: string, id: string, text: string) {
    if (!(await this.store.isMember(id, userId))) throw new ForbiddenException();
    this.gateway.tell(id, "message.posted", { userId, text });
    return { text };
  }
}
