import "reflect-metadata";
import { NestFactory } from "@nestjs/core";
import { AppModule } from "./app.module";
import { RedisIoAdapter } from "./redis-io.adapter";

async function main() {
  const app = await NestFactory.create(AppModule, { logger: ["error", "warn"] });
  const adapter = new RedisIoAdapter(app);
  await adapter.connect(process.env.REDIS_URL ?? "redis://127.0.0.1:6379");
  app.useWebSocketAdapter(adapter);
  app.enableShutdownHooks();
  await app.listen(Number(process.env.PORT ?? 3000), "127.0.0.1");
  console.log(`listening on ${await app.getUrl()}`);
}

void main();
