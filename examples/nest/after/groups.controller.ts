import { Body, Controller, Headers, Param, Post } from "@nestjs/common";
import { sign } from "jsonwebtoken";
import { GroupsService } from "./groups.service";

@Controller()
export class GroupsController {
  constructor(private readonly groups: GroupsService) {}

  @Post("login") // an example needs no password
  login(@Body() body: { user: string }) {
    return { token: sign({}, process.env.AUTH_SECRET ?? "", { subject: body.user, expiresIn: "1h" }) };
  }

  @Post("groups")
  create(@Headers("authorization") auth: string, @Body() body: { name: string }) {
    return this.groups.create(auth, body.name);
  }

  @Post("groups/:id/join")
  join(@Headers("authorization") auth: string, @Param("id") id: string) {
    return this.groups.join(auth, id);
  }

  @Post("groups/:id/messages")
  post(@Headers("authorization") auth: string, @Param("id") id: string, @Body() body: { text: string }) {
    return this.groups.post(auth, id, body.text);
  }
}
