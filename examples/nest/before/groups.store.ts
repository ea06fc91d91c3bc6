import { Injectable, type OnApplicationShutdown, type OnModuleInit } from "@nestjs/common";
import { createClient } from "redis";

// GroupsStore keeps groups in Redis, because the memory of one server is not the others'.
@Injectable()
export class GroupsStore implements OnModuleInit, OnApplicationShutdown {
  private readonly redis = createClient({ url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379" });

  async onModuleInit() {
    await this.redis.connect();
  }

  async onApplicationShutdown() {
    await this.redis.quit();
  }

  async create(id: string, name: string) {
    await this.redis.hSet(`group:${id}`, { name });
  }

  async exists(id: string) {
    return (await this.redis.exists(`group:${id}`)) === 1;
  }

  // add reports whether the user was no member before.
  async add(id: string, userId: string) {
    return (await this.redis.sAdd(`group:${id}:members`, userId)) === 1;
  }

  isMember(id: string, userId: string) {
    return this.redis.sIsMember(`group:${id}:members`, userId);
  }
}
