import { Body, Controller, Headers, Param, Post } from "@nestjs/common";
import { GroupsService } from "./groups.service";
import { signToken, userOf } from "./user";

const bearer = (header = "") => userOf(header.replace("Bearer ", ""));

@Controller()
export class GroupsController {
  constructor(private readonly groups: GroupsService) {}

  @Post("login") // an example needs no password
  login(@Body() body: { user: string }) {
    return { token: signToken(body.user) };
  }

  @Post("groups")
  create(@Headers("authorization") auth: string, @Body() body: { name: string }) {
    return this.groups.create(bearer(auth), body.name);
  }

  @Post("groups/:id/join")
  join(@Headers("authorization") auth: string, @Param("id") id: string) {
    return this.groups.join(bearer(auth), id);
  }

  @Post("groups/:id/messages")
  post(@Headers("authorization") auth: string, @Param("id") id: string, @Body() body: { text: string }) {
    return this.groups.post(bearer(auth), id, body.text);
  }
}
