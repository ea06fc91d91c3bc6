import "reflect-metadata";
import {
  BadRequestException,
  Controller,
  type DynamicModule,
  HttpCode,
  Inject,
  Injectable,
  InternalServerErrorException,
  Logger,
  Module,
  type ModuleMetadata,
  type OnModuleInit,
  Post,
  Req,
  UnauthorizedException,
} from "@nestjs/common";
import { DiscoveryModule, DiscoveryService } from "@nestjs/core";
import { type ClientOptions, MoimClient } from "./client.js";
import { Deliveries, type Delivery, type Handler } from "./deliveries.js";
import { type Headers, keyOf, verify } from "./signature.js";

const patternsKey = "moim:patterns";
const optionsToken = Symbol("moim:options");

export interface MoimOptions extends ClientOptions {
  /** The secret of the hook, whsec_…. Without it, deliveries are refused. */
  hookSecret?: string;
}

export interface MoimRoute {
  /** Where the hook's deliveries arrive, `/moim/hook` by default. */
  path?: string;
}

export interface MoimAsyncOptions extends MoimRoute, Pick<ModuleMetadata, "imports"> {
  inject?: any[];
  useFactory: (...args: any[]) => MoimOptions | Promise<MoimOptions>;
}

/**
 * OnGroup calls a provider's method for each event of these types: `member.joined`, `member.*` or `*`; or for each
 * change of presence: `presence.online`, `presence.offline` or `presence.*`.
 */
export function OnGroup(pattern: string): MethodDecorator {
  if (!/^(\*|[a-z_]+\.(\*|[a-z_]+))$/.test(pattern)) throw new Error(`@OnGroup: ${pattern} names no type of events`);
  return (_target, _name, descriptor) => {
    const method = descriptor.value as object;
    Reflect.defineMetadata(patternsKey, [...(Reflect.getMetadata(patternsKey, method) ?? []), pattern], method);
  };
}

/** Finds the methods with OnGroup when the application starts. */
@Injectable()
class Finder implements OnModuleInit {
  constructor(
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
    @Inject(Deliveries) private readonly deliveries: Deliveries,
  ) {}

  onModuleInit(): void {
    for (const { instance } of [...this.discovery.getProviders(), ...this.discovery.getControllers()]) {
      if (!instance || typeof instance !== "object") continue;
      const names = new Set<string>();
      for (let at = Object.getPrototypeOf(instance); at && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
        for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
          if (typeof value !== "function" || names.has(name)) continue;
          names.add(name);
          const patterns: string[] = Reflect.getMetadata(patternsKey, value) ?? [];
          const handle: Handler = (event, delivery) => value.call(instance, event, delivery);
          for (const pattern of patterns) this.deliveries.on(pattern, handle);
        }
      }
    }
  }
}

interface RawRequest {
  headers: Headers;
  rawBody?: Buffer;
}

// Each registration has its own class, because a path belongs to a class.
function receiver(path: string) {
  @Controller(path)
  class MoimHookController {
    readonly log = new Logger("Moim");
    readonly key: Buffer | undefined;

    constructor(
      @Inject(optionsToken) options: MoimOptions,
      @Inject(Deliveries) readonly deliveries: Deliveries,
    ) {
      this.key = options.hookSecret === undefined ? undefined : keyOf(options.hookSecret);
    }

    @Post()
    @HttpCode(204)
    async receive(@Req() { headers, rawBody }: RawRequest): Promise<void> {
      if (!this.key) throw new UnauthorizedException("hookSecret is not set");
      if (!rawBody) {
        this.log.error("There is no raw body: create the application with { rawBody: true }.");
        throw new InternalServerErrorException();
      }
      const problem = verify(this.key, headers, rawBody);
      if (problem) throw new UnauthorizedException(problem);
      let delivery: Delivery;
      try {
        delivery = JSON.parse(rawBody.toString()) as Delivery;
      } catch {
        throw new BadRequestException("the body is no delivery");
      }
      if (!Array.isArray(delivery?.events)) throw new BadRequestException("the body is no delivery");
      try {
        await this.deliveries.accept(String(headers["webhook-id"]), delivery);
      } catch (err) {
        // A handler's own status must not reach Moim: 410 would disable the hook.
        this.log.error(
          `A handler failed for group ${delivery.groupId}`,
          err instanceof Error ? err.stack : String(err),
        );
        throw new InternalServerErrorException();
      }
    }
  }
  return MoimHookController;
}

/** MoimModule provides MoimClient everywhere, and calls methods with OnGroup. */
@Module({})
// biome-ignore lint/complexity/noStaticOnlyClass: a module of Nest is a class
export class MoimModule {
  static register({ path, ...options }: MoimOptions & MoimRoute): DynamicModule {
    return MoimModule.registerAsync({ ...(path === undefined ? {} : { path }), useFactory: () => options });
  }

  static registerAsync({
    path = "/moim/hook",
    imports = [],
    inject = [],
    useFactory,
  }: MoimAsyncOptions): DynamicModule {
    return {
      module: MoimModule,
      global: true,
      imports: [DiscoveryModule, ...imports],
      controllers: [receiver(path)],
      providers: [
        { provide: optionsToken, inject, useFactory },
        { provide: MoimClient, inject: [optionsToken], useFactory: (options: MoimOptions) => new MoimClient(options) },
        Deliveries,
        Finder,
      ],
      exports: [MoimClient],
    };
  }
}
