import { Module } from "@nestjs/common";
import { GroupsController } from "./groups.controller";
import { GroupsGateway } from "./groups.gateway";
import { GroupsService } from "./groups.service";
import { GroupsStore } from "./groups.store";

@Module({ controllers: [GroupsController], providers: [GroupsGateway, GroupsService, GroupsStore] })
export class AppModule {}
