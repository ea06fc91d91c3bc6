import { HttpException, Injectable } from "@nestjs/common";
import { randomUUID } from "node:crypto";

const moim = process.env.MOIM_URL ?? "http://127.0.0.1:8080";

@Injectable()
export class GroupsService {
  create(auth: string, name: string) {
    return this.call(auth, "/groups", { name, visibility: "public", joinPolicy: "open" });
  }

  join(auth: string, id: string) {
    return this.call(auth, `/groups/${encodeURIComponent(id)}/join`);
  }

  post(auth: string, id: string, text: string) {
    return this.call(auth, `/groups/${encodeURIComponent(id)}/messages`, { data: { text } });
  }

  // call makes a call with the user's own token. Moim checks what the user may do.
  private async call(auth: string, path: string, body?: object) {
    const answer = await fetch(`${moim}/v1${path}`, {
      method: "POST",
      headers: { Authorization: auth ?? "", "Content-Type": "application/json", "Idempotency-Key": randomUUID() },
      body: body && JSON.stringify(body),
    });
    const result = (await answer.json()) as object;
    if (!answer.ok) throw new HttpException(result, answer.status);
    return result;
  }
}
