# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # Variables are shared with cluster.sh.
# Sourced by cluster.sh: the image, built here and brought to the nodes.

# Its tag follows from its content, since a node keeps an image under a tag that it knows.
# --image may name a tag, a registry before it may have a port.
read_image_option() {
  image_repository=${image:-order-food} image_tag=''
  if [[ ${image##*/} == *:* ]]; then
    image_tag=${image##*:}
    image_repository=${image%:*}
  fi
}

provide_image() {
  if [[ -n $skip_build ]]; then
    find_image
  else
    build_image
    load_image
  fi
}

build_image() {
  local id
  step="building the image"
  echo "Building the image; where the programs have changed this takes minutes ..."
  # Without attestations, which hold the time, the same content is the same image again.
  quietly env DOCKER_BUILDKIT=1 BUILDX_NO_DEFAULT_ATTESTATIONS=1 \
    docker build --iidfile "$folder/image-id" "$project" 9>&- || {
    show_output
    fail_at "docker build failed: mend what it says above, then run this again."
  }
  id=$(cat "$folder/image-id")
  id=${id#sha256:}
  image_tag=${id:0:12}
  docker tag "$id" "$image_repository:$image_tag"
  finished "the image $image_repository:$image_tag is built"
}

load_image() {
  local name=$image_repository:$image_tag
  step="bringing the image to the cluster"
  if [[ -n $image_loader ]]; then
    # The loader is a command line of the caller's, to be read by a shell.
    quietly bash -c "$image_loader \"\$1\"" image-loader "$name" 9>&- || {
      show_output
      fail_at "'$image_loader $name' failed: mend what it says above, then run this again."
    }
    finished "the image is brought to the cluster by '$image_loader'"
  elif minikube_has "$name"; then
    finished "minikube has the image already"
  else
    quietly "${minikube[@]}" image load "$name" 9>&- || {
      show_output
      fail_at "minikube could not load $name: mend what it says above, then run this again."
    }
    # It is known to say nothing of some failures.
    minikube_has "$name" || fail_at "minikube does not have $name after loading it: try minikube image load $name --profile $context --alsologtostderr"
    finished "minikube has loaded the image"
  fi
}

# minikube_has NAME: nodes list names with the registry that Docker leaves out.
minikube_has() {
  "${minikube[@]}" image ls | grep -xF -e "$1" -e "docker.io/$1" -e "docker.io/library/$1" -e "localhost/$1" >/dev/null
}

# For --skip-build: the tag that --image names, or the image that is installed, or the newest one in minikube.
find_image() {
  local tag installed
  step="finding the image"
  if [[ -z $image_tag ]]; then
    installed=$(installed_image)
    if [[ -n $installed && (-z $image || ${installed%:*} == "$image_repository") ]]; then
      image_repository=${installed%:*} image_tag=${installed##*:}
    elif [[ $minikube_state != none ]] && command -v docker >/dev/null; then
      # Docker lists the newest first. Only those that were built by deploy.sh count.
      for tag in $(docker image ls --format '{{.Tag}}' "$image_repository" 2>/dev/null); do
        if [[ $tag =~ ^[0-9a-f]{12}$ ]] && minikube_has "$image_repository:$tag"; then
          image_tag=$tag
          break
        fi
      done
    fi
  fi
  [[ -n $image_tag ]] || fail_at "There is none: run this without --skip-build, or name an image that the nodes have or can pull with --image REPOSITORY:TAG."
  finished "the image is $image_repository:$image_tag"
}

# The image of the release that is installed, if it goes by a tag.
installed_image() {
  local name
  name=$("${kubectl[@]}" get deployment order-food --ignore-not-found \
    --output jsonpath='{.spec.template.spec.containers[?(@.name=="order-food")].image}')
  [[ $name == *@* || ${name##*/} != *:* ]] || echo "$name"
}
