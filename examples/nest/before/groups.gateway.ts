import { ConnectedSocket, MessageBody, type OnGatewayConnection, SubscribeMessage, WebSocketGateway, WebSocketServer } from "@nestjs/websockets";
import { Server, Socket } from "socket.io";
import { GroupsStore } from "./groups.store";
import { userOf } from "./user";

@WebSocketGateway({ cors: true })
export class GroupsGateway implements OnGatewayConnection {
  @WebSocketServer() private readonly server!: Server;

  constructor(private readonly store: GroupsStore) {}

  handleConnection(socket: Socket) {
    try {
      socket.data.userId = userOf(socket.handshake.auth.token);
    } catch {
      socket.disconnect(true);
    }
  }

  @SubscribeMessage("follow")
  async follow(@ConnectedSocket() socket: Socket, @MessageBody() id: string) {
    if (!(await this.store.isMember(id, socket.data.userId))) return { error: "not a member" };
    await socket.join(id);
    return { data: true };
  }

  // tell sends an event to the sockets that follow a group, on all servers.
  tell(id: string, type: string, data: object) {
    this.server.to(id).emit("group", { id, type, data });
  }
}
